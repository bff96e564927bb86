import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { secretToKey, sign } from '../../../../shared/runtime/signing.ts';
import { installTypescriptClient } from '../../../../test/support/packages.ts';
import { OPERATIONS } from './generated.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const SOURCE = fileURLToPath(new URL('.', import.meta.url));

const read = (name: string) => readFileSync(join(SOURCE, name), 'utf8');

const SOURCES = readdirSync(SOURCE).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));

/** Pages for people, documents of the API itself, and what a link without a key leads to. */
const NOT_CALLED = ['getDocs', 'getOperatorOpenApi', 'downloadExportFile'];

test('every operation of the document has a method', () => {
  const texts = SOURCES.filter((name) => name !== 'generated.ts').map(read);
  const isCalled = (id: string) => texts.some((text) => new RegExp(`\\((?:\\s*)'${id}'`).test(text));
  const missing = Object.keys(OPERATIONS).filter((id) => !isCalled(id) && !NOT_CALLED.includes(id));
  expect(missing).toEqual([]);
});

test('the main entry imports nothing of Node, and nothing that is not its own', () => {
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    for (const [, target = ''] of read(name).matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
      expect(target, `${name} imports ${target}`).toMatch(/^\.\//);
      visit(target.slice(2));
    }
  };
  visit('index.ts');
  expect(reached.size).toBeGreaterThan(15);
  expect([...reached]).not.toContain('node.ts');
});

test('the package has the version of the whole, and works from an empty folder', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const folder = installTypescriptClient();
  try {
    const installed = join(folder, 'node_modules/@tandem/client');
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
    expect(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))).toMatchObject({ version });

    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const timestamp = Math.floor(Date.now() / 1_000);
    const body = '{"id":"evt_1","type":"invoice.created"}';
    const headers = {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign([secretToKey(secret)], 'evt_1', timestamp, Buffer.from(body)),
    };
    const program = `
      import { VERSION, verifyWebhook } from '@tandem/client';
      import { downloadExport } from '@tandem/client/node';
      import { SqliteStore } from '@tandem/client/sqlite';
      const { events } = await verifyWebhook(${JSON.stringify(headers)}, ${JSON.stringify(body)}, ${JSON.stringify(secret)});
      console.log(VERSION, events[0]?.id, typeof downloadExport, typeof SqliteStore);`;
    writeFileSync(join(folder, 'program.ts'), program);
    const { stdout } = await promisify(execFile)(process.execPath, ['program.ts'], { cwd: folder });
    expect(stdout.trim()).toBe(`${version} evt_1 function function`);

    // With the types of a browser alone, and with an error that the types must find.
    writeFileSync(
      join(folder, 'browser.ts'),
      `import { Tandem } from '@tandem/client';
       const client = new Tandem({ baseUrl: 'https://example.com', key: 'tk_1' });
       const stream: ReadableStream<Uint8Array> = await client.exports.stream('exp_1');
       const status: 'completed' | number = (await client.exports.get('exp_1')).status;
       console.log(stream, status);`,
    );
    const compile = () =>
      execFileSync(
        join(ROOT, 'node_modules/.bin/tsc'),
        [
          '--noEmit',
          '--strict',
          '--module',
          'nodenext',
          '--target',
          'es2022',
          '--lib',
          'es2023,dom,dom.asynciterable',
          '--types',
          '',
          'browser.ts',
        ],
        { cwd: folder, stdio: 'pipe' },
      );
    let faults = '';
    try {
      compile();
    } catch (error) {
      faults = String((error as { stdout: Buffer }).stdout);
    }
    expect(faults.match(/error TS\d+: .*/g)).toHaveLength(1);
    expect(faults).toContain('is not assignable to type \'number | "completed"\'');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
