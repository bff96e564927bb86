import { expect, test } from 'vitest';
import { AppError } from '../../../shared/runtime/errors.ts';
import { problemText, toProblem } from './problem.ts';
import { createPublicUrls } from './public-urls.ts';

test('the type of a problem is the address of its page: absolute where the public URL is known', () => {
  const problem = toProblem(new AppError('not_found', 'x'), 'req_1');
  const typeWith = (url: string, isSet: boolean) =>
    JSON.parse(
      problemText(
        problem,
        createPublicUrls(() => url, isSet),
      ),
    ).type;
  expect(typeWith('https://api.example.com/v1/', true)).toBe(
    'https://api.example.com/v1/docs/problems/not_found',
  );
  expect(typeWith('http://127.0.0.1:8080', false)).toBe('/docs/problems/not_found');
});
