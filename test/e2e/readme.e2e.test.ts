import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findPython, REQUESTS } from '../support/python.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestWorld } from '../support/test-world.ts';

const python = findPython(REQUESTS);

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const blocksOf = (text: string, language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block = '']) => block,
  );

/** Runs the blocks as one script, where later ones use what earlier ones have set, and returns what each prints. */
async function runBlocks(blocks: readonly string[], env: Record<string, string>): Promise<string[]> {
  const border = '-- the next block --';
  const { stdout } = await promisify(execFile)(
    'bash',
    ['-euo', 'pipefail', '-c', blocks.join(`\necho; echo '${border}'\n`)],
    { cwd: temporaryDirectory(), env: { ...process.env, ...env }, timeout: 90_000 },
  );
  return stdout.split(border);
}

/** What the printed answer shows and the real one has not, or has as something else; what starts alike is alike. */
function differences(printed: unknown, real: unknown, path = ''): string[] {
  if (Array.isArray(printed)) {
    return printed.flatMap((item, index) =>
      differences(item, (real as unknown[])?.[index], `${path}[${index}]`),
    );
  }
  if (typeof printed === 'object' && printed !== null) {
    return Object.entries(printed).flatMap(([name, value]) =>
      differences(value, (real as Record<string, unknown>)?.[name], `${path}.${name}`),
    );
  }
  if (typeof printed !== typeof real) return [`${path} is ${JSON.stringify(real)}`];
  if (typeof printed !== 'string') return [];
  const beginning = printed.includes('…') ? (/^[a-z]+(?:_|:\/\/)/.exec(printed)?.[0] ?? '') : printed;
  return String(real).startsWith(beginning) ? [] : [`${path} is ${JSON.stringify(real)}`];
}

test('the examples in the documents run as printed, and the README’s answers are what comes', async () => {
  await using world = await openTestWorld({
    directory: temporaryDirectory(),
    rows: 500,
    accounts: 1,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
  });
  const { key } = await world.createCustomer(world.generated.accounts[0] ?? '');
  const env = { TANDEM_URL: world.apiUrl, TANDEM_KEY: key };

  const handOff =
    read('README.md')
      .split(/^## /m)
      .find((part) => part.startsWith('The hand-off')) ?? '';
  const answers = await runBlocks(blocksOf(handOff, 'sh'), env);
  const printed = blocksOf(handOff, 'json');
  expect(printed).toHaveLength(3);
  expect(answers).toHaveLength(3);
  expect(
    printed.flatMap((block, index) => differences(JSON.parse(block), JSON.parse(answers[index] ?? ''))),
  ).toEqual([]);

  const stdout = (await runBlocks(blocksOf(read('services/api/README.md'), 'sh'), env)).join('\n');
  expect(stdout).toContain('"status":"completed"');
  expect(stdout).toContain('{"id":1,"account_id":"acc_001"');
  expect(stdout).toContain('"secret":"whsec_');
  expect(stdout).toContain('"dry_run":true');
  expect(stdout).toContain('"operation":"void","semantics":"snapshot","status":"completed"');
  expect(stdout).toContain('"item_id"');
  expect(stdout).toContain('/resource');
  expect(stdout).toContain('colour');

  const ask = (path: string) =>
    fetch(`${world.apiUrl}${path}`, { headers: { authorization: `Bearer ${key}` } });
  for (const language of ['typescript', 'python'] as const) {
    if (language === 'python' && python === undefined) continue;
    const lines = await runQuickstart(language, env);
    const { data } = JSON.parse(await (await ask('/exports')).text());
    expect(lines).toHaveLength(data[0].rows.written);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ id: 1 });
    expect(await (await ask('/webhooks')).text()).toContain(`{"after_export":"${data[0].id}"}`);
  }
}, 300_000);

/**
 * Runs the steps of the quickstart in a language as one program.
 *
 * @returns the lines of the file that it downloads
 */
async function runQuickstart(
  language: 'typescript' | 'python',
  env: Record<string, string>,
): Promise<string[]> {
  const directory = temporaryDirectory();
  const program = blocksOf(read('services/api/docs/guides/quickstart.md'), language)
    .join('\n')
    // The feed has no end. Two pages show that it is read.
    .replace('for (;;) {', 'for (const _ of [1, 2]) {')
    .replace('while True:', 'for _ in range(2):')
    // Each run takes an export of its own.
    .replaceAll('first-export', `${language}-export`);
  if (language === 'typescript') {
    await writeFile(join(directory, 'quickstart.mts'), program);
    await promisify(execFile)(process.execPath, ['quickstart.mts'], {
      cwd: directory,
      env: { ...process.env, ...env },
      timeout: 90_000,
    });
  } else {
    const start = ['import os, sys', 'os.environ.update(zip(("TANDEM_URL", "TANDEM_KEY"), sys.argv[1:]))'];
    const move = `os.chdir(${JSON.stringify(directory)})`;
    await writeFile(join(directory, 'quickstart.py'), [...start, move, program, 'print("{}")'].join('\n'));
    await python?.read(join(directory, 'quickstart.py'), env.TANDEM_URL ?? '', env.TANDEM_KEY ?? '');
  }
  return readFileSync(join(directory, 'invoices.jsonl'), 'utf8').trimEnd().split('\n');
}
