import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A secret that is made once and is the same at every later start; only its owner may read the file. */
export function keptSecret(path: string, prefix = ''): string {
  if (!existsSync(path)) keepSecret(path, `${prefix}${randomBytes(24).toString('hex')}`);
  return readFileSync(path, 'utf8').trim();
}

/** Replaces the secret in one step, so that a crash never leaves half of one. */
export function keepSecret(path: string, secret: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, `${secret}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}
