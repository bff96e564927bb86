import { readdirSync } from 'node:fs';

/** Loads every service and command while the image is built, so that what Node compiles is in the image. */
const SERVICES = new URL('../../services/', import.meta.url);

for (const entry of readdirSync(SERVICES, { withFileTypes: true })) {
  if (entry.isDirectory()) await import(new URL(`${entry.name}/build.ts`, SERVICES).href);
}
await import('../cli/commands/operator-commands.ts');
