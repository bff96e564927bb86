import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPython } from './python.ts';

const CLIENTS = fileURLToPath(new URL('../../schemas/clients/', import.meta.url));

/** Packs the TypeScript client as it is published, and installs it into an empty folder. @returns the folder */
export function installTypescriptClient(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-js-'));
  const npm = (cwd: string, ...args: string[]) =>
    execFileSync('npm', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  npm(join(CLIENTS, 'typescript'), 'pack', '--silent', '--pack-destination', folder);
  const [tarball] = readdirSync(folder);
  if (tarball === undefined) throw new Error('npm pack wrote no file');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  npm(folder, 'install', '--offline', '--no-audit', '--no-fund', '--silent', `./${tarball}`);
  return folder;
}

/** What builds the wheel. */
const HATCHLING = { requirement: 'hatchling==1.33.0', hasDependencies: true, minor: 11 };

/**
 * Builds the wheel of the Python client, and installs it into an empty folder.
 *
 * @returns the folder, which is also the path to import from; undefined without Python
 */
export function installPythonClient(): string | undefined {
  const python = findPython(HATCHLING);
  if (python === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'tandem-py-'));
  const env = { ...process.env, PYTHONPATH: python.packages };
  const pip = (...args: string[]) =>
    execFileSync('python3', ['-m', 'pip', ...args, '--quiet', '--no-deps', '--disable-pip-version-check'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  pip('wheel', '--no-build-isolation', '--wheel-dir', folder, join(CLIENTS, 'python'));
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip built no wheel');
  pip('install', '--target', folder, join(folder, wheel));
  return folder;
}

/** The code blocks of a README, by their headings, in their order. */
export function examplesOf(readme: string, language: string): Map<string, string> {
  const examples = new Map<string, string>();
  for (const section of readme.split(/^## /m).slice(1)) {
    const heading = section.slice(0, section.indexOf('\n'));
    const code = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'm').exec(section)?.[1];
    if (code !== undefined) examples.set(heading, code);
  }
  return examples;
}
