import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ADMIN_KEY } from '../support/api-server.ts';
import { openExampleWorld, withIds } from '../support/example-world.ts';
import { findPython, SCHEMATHESIS } from '../support/python.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const SETTINGS = fileURLToPath(new URL('../support/schemathesis.toml', import.meta.url));

/** Cases for each operation. */
const MAX_EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES ?? '100';

const FEW = ['--phases', 'examples,fuzzing'];

/** The phase `coverage` has thousands of cases. The operator's key alone may send all of them. */
const KEYS = [
  { who: 'an account', options: ['--exclude-tag', 'operator', ...FEW] },
  { who: 'the operator', options: [] },
  { who: 'an account, with one scope', options: FEW },
];

test.each(KEYS)(
  'Schemathesis finds no undocumented response with the key of $who',
  async ({ who, options }) => {
    const python = findPython(SCHEMATHESIS);
    if (python === undefined) return;
    // Objects of its own each time: generated requests may revoke the key that they are sent with.
    await using examples = await openExampleWorld();
    const { world, account, failures } = examples;
    const ids = await examples.arrange();
    const accountKey = who.includes('scope') ? (await examples.newKey()).key : account.key;
    const key = who === 'the operator' ? ADMIN_KEY : accountKey;
    const { text } = await world.api.call('GET', '/admin/openapi.json', { key: ADMIN_KEY });
    const folder = temporaryDirectory();
    const path = join(folder, 'openapi.json');
    await writeFile(path, withIds(text, ids));
    const { code, output } = await python.run('schemathesis.cli', folder, [
      ...['--config-file', SETTINGS, '--no-color', 'run', path],
      ...['--url', world.api.url, '--header', `Authorization: Bearer ${key}`],
      ...['--max-examples', MAX_EXAMPLES, ...options],
    ]);
    const lines = output.split('\n').map((line) => line.slice(0, 500));
    expect(code, [...failures, ...lines].join('\n')).toBe(0);
  },
  1_200_000,
);
