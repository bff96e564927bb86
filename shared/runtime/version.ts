import { readFileSync } from 'node:fs';

/** The version of the product, as package.json has it: the one place where it is written. */
export function productVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}
