import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { clientFiles } from './client-files.ts';

test('the clients have the types of the document: run npm run clients after a change', async () => {
  for (const [path, text] of await clientFiles()) expect(await readFile(path, 'utf8'), path).toBe(text);
});
