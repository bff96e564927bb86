import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Env } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { requirePrivate, writePrivate } from './profiles.ts';

const stateSchema = z.strictObject({
  /** What requests are signed with. */
  secret: z.string(),
  /** Where the page is read from whose events are being forwarded. */
  from: z.strictObject({ after: z.string().optional(), after_export: z.string().optional() }),
  /** The last forwarded event of that page. */
  done: z.string().optional(),
});

/** Where `tandem listen` is, stored after each event. */
export type ListenState = z.infer<typeof stateSchema>;

/** The file of what is forwarded from one feed to one place. */
export function listenStatePath(env: Env, subject: readonly string[]): string {
  const state = env.XDG_STATE_HOME?.trim() || join(homedir(), '.local', 'state');
  const name = createHash('sha256').update(subject.join('\n')).digest('hex').slice(0, 16);
  return join(state, 'tandem', `listen-${name}.json`);
}

/** Undefined at the first time. @throws SetupError for a file that others can read, or that is no state */
export function readListenState(path: string): ListenState | undefined {
  try {
    requirePrivate(path);
    return stateSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    if (error instanceof SetupError) throw error;
    throw new SetupError(`${path} is not a state of tandem listen`, ['remove it to start from now']);
  }
}

export function writeListenState(path: string, state: ListenState): void {
  writePrivate(path, JSON.stringify(state));
}
