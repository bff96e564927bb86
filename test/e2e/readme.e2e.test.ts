import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openWorld } from '../../deploy/local/demo/world.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { testStack } from '../support/stack.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** The `sh` blocks of the section, as one script: later ones use what earlier ones have set. */
function scriptOf(section: string): string {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const text = readme.split(/^## /m).find((part) => part.startsWith(section)) ?? '';
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block]) => block).join('\n');
}

test('the README’s examples run as printed', async () => {
  await using world = await openWorld({
    stack: testStack(),
    directory: temporaryDirectory(),
    rows: 500,
    accounts: 1,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
    log: silentLog,
  });
  const { key } = await world.createCustomer(world.generated.accounts[0] ?? '');
  const { stdout } = await promisify(execFile)(
    'bash',
    ['-euo', 'pipefail', '-c', scriptOf('The API by example')],
    {
      cwd: temporaryDirectory(),
      env: { ...process.env, TANDEM_URL: world.apiUrl, TANDEM_KEY: key },
      timeout: 90_000,
    },
  );
  expect(stdout).toContain('"status":"completed"');
  expect(stdout).toContain('{"id":1,"account_id":"acc_001"');
  expect(stdout).toContain('"secret":"whsec_');
  expect(stdout).toContain('"dry_run":true');
  expect(stdout).toContain('"operation":"void","semantics":"snapshot","status":"completed"');
  expect(stdout).toContain('"item_id"');
  expect(stdout).toContain('/resource');
  expect(stdout).toContain('colour');
});
