import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { STORIES } from '../../deploy/demo/product-stories.ts';
import { runDemo } from '../../deploy/demo/run-demo.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { testStack } from '../support/stack.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

// FlagBit is the one least like DocuMint: its keys are UUIDs, and those of its rules are of two columns.
test('the whole story of another product ends with a replica that is the source', async () => {
  const story = STORIES.find(({ product }) => product.name === 'flagbit') ?? STORIES[0];
  const said: string[] = [];
  const isEqual = await runDemo({
    stack: testStack(),
    directory: tmpdir(),
    downloads: join(temporaryDirectory(), 'files'),
    story,
    rows: 600,
    perSecond: 60,
    subscribeAfterMs: 0,
    followMs: 1_000,
    log: silentLog,
    say: (line) => said.push(line),
  });
  const text = said.join('\n');
  expect(text).toContain('EQUAL: all');
  expect(text).toMatch(/set_rollout of 100 flags at once/);
  expect(text).toMatch(/turn_off as a job, blk_\w+: \d+ flags/);
  expect(isEqual).toBe(true);
});
