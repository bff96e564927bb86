import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { secretToKey, sign } from '../../../shared/runtime/signing.ts';
import { installPythonClient } from '../../../test/support/packages.ts';
import { findPython } from '../../../test/support/python.ts';
import { OPERATIONS } from '../typescript/src/generated.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const SOURCE = join(FOLDER, 'src/tandem_client');
const LIMIT_MS = 300_000;

const python = (args: readonly string[], cwd: string, PYTHONPATH: string) =>
  promisify(execFile)('python3', args, { cwd, env: { PYTHONPATH, PYTHONUTF8: '1' } });

const mypy = findPython({ requirement: 'mypy==2.4.1', hasDependencies: true, minor: 11 });

/** Pages for people, documents of the API itself, and what a link without a key leads to. */
const NOT_CALLED = /^(getDocs.*|getOperatorOpenApi|downloadExportFile)$/;

test('every operation of the document has a method', () => {
  const texts = readdirSync(SOURCE)
    .filter((name) => name.endsWith('.py') && name !== '_generated.py')
    .map((name) => readFileSync(join(SOURCE, name), 'utf8'));
  const isCalled = (id: string) => texts.some((text) => new RegExp(`\\(\\s*"${id}"`).test(text));
  expect(Object.keys(OPERATIONS).filter((id) => !isCalled(id) && !NOT_CALLED.test(id))).toEqual([]);
});

test.skipIf(mypy === undefined)(
  'its own tests pass',
  async () => {
    await python(['-m', 'unittest', 'discover', '-s', 'tests', '-t', '.'], FOLDER, 'src');
  },
  LIMIT_MS,
);

test.skipIf(mypy === undefined)(
  'its types are right',
  async () => {
    await python(
      ['-m', 'mypy', '--cache-dir', join(FOLDER, '../../../node_modules/.cache/tandem/mypy-cache')],
      FOLDER,
      mypy?.packages ?? '',
    );
  },
  LIMIT_MS,
);

test(
  'the wheel has the version of the whole, and works from an empty folder',
  async () => {
    const { version } = JSON.parse(readFileSync(join(FOLDER, '../../../package.json'), 'utf8')) as {
      version: string;
    };
    const folder = installPythonClient();
    if (folder === undefined) return;
    try {
      expect(readdirSync(join(folder, 'tandem_client'))).toEqual(
        expect.arrayContaining(['LICENSE', 'py.typed']),
      );
      const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
      const timestamp = Math.floor(Date.now() / 1_000);
      const body = '{"id":"evt_1","type":"invoice.created"}';
      const headers = {
        'webhook-id': 'evt_1',
        'webhook-timestamp': String(timestamp),
        'webhook-signature': sign([secretToKey(secret)], 'evt_1', timestamp, Buffer.from(body)),
      };
      const program = [
        'import tandem_client',
        `delivery = tandem_client.verify_webhook(${JSON.stringify(headers)}, ${JSON.stringify(body)}, "${secret}")`,
        'print(tandem_client.__version__, delivery.events[0]["id"])',
      ].join('\n');
      const { stdout } = await python(['-c', program], folder, folder);
      expect(stdout.trim()).toBe(`${version} evt_1`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  LIMIT_MS,
);
