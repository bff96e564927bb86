import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPESCRIPT = fileURLToPath(new URL('../../schemas/clients/typescript/', import.meta.url));

/** Packs the TypeScript client as it is published, and installs it into an empty folder. @returns the folder */
export function installTypescriptClient(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-js-'));
  const npm = (cwd: string, ...args: string[]) =>
    execFileSync('npm', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  npm(TYPESCRIPT, 'pack', '--silent', '--pack-destination', folder);
  const [tarball] = readdirSync(folder);
  if (tarball === undefined) throw new Error('npm pack wrote no file');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  npm(folder, 'install', '--offline', '--no-audit', '--no-fund', '--silent', `./${tarball}`);
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
