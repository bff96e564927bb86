import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { SetupError } from '../../shared/runtime/errors.ts';
import { tryLock } from './lock.ts';

/**
 * Substitutes are drawn from below the range that operating systems give to outgoing connections,
 * because a port from that range can be taken between the choice and the bind.
 */
const SUBSTITUTES = { first: 20_000, end: 32_000 };

const MAX_DRAWS = 50;

/** Longer than any of the parts takes from the choice of its port to the bind. */
const CLAIM_MS = 60_000;

/** Whether a server could bind the port on this host now. Nothing is promised about a moment later. */
export function isPortFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port that no other stack on this machine chooses until it is disposed of. */
export interface HeldPort extends Disposable {
  readonly port: number;
}

/**
 * Says to every other stack on this machine that the port is about to be bound, or bound again: until then it looks free.
 *
 * @returns undefined when another has said so
 */
async function claimPort(port: number, host: string): Promise<HeldPort | undefined> {
  if (!(await isPortFree(port, host))) return undefined;
  const claim = tryLock(join(tmpdir(), `tandem-ports-${userInfo().uid}`, String(port)));
  return claim === null ? undefined : { port, [Symbol.dispose]: () => claim[Symbol.dispose]() };
}

/**
 * The preferred port when it is free, else a random free one, for a process that is started again when it ends.
 *
 * @throws Error when fifty draws were all taken
 */
export async function holdPort(preferred: number, host = '127.0.0.1'): Promise<HeldPort> {
  for (let draw = 0, port = preferred; draw <= MAX_DRAWS; draw += 1) {
    const held = await claimPort(port, host);
    if (held !== undefined) return held;
    port = randomInt(SUBSTITUTES.first, SUBSTITUTES.end);
  }
  throw new Error(`no free port found between ${SUBSTITUTES.first} and ${SUBSTITUTES.end} on ${host}`);
}

/** As `holdPort`, for a process that binds the port soon and is not started again. */
export async function choosePort(preferred: number, host = '127.0.0.1'): Promise<number> {
  const held = await holdPort(preferred, host);
  setTimeout(() => held[Symbol.dispose](), CLAIM_MS).unref();
  return held.port;
}

/** A port that someone asked for by name is never exchanged for another. @throws SetupError when it is taken */
export async function requirePort(port: number, host: string, variable: string): Promise<number> {
  if (await isPortFree(port, host)) return port;
  throw new SetupError(
    `${variable}=${port} can't be used: another process listens on ${host}:${port}, or the port needs more rights. ` +
      `Stop that process, set another ${variable}, or unset it to have a free one chosen.`,
  );
}
