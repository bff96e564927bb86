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

/**
 * Says to every other stack that starts on this machine at the same moment that the port is about to be
 * bound; seconds may pass until then, in which it still looks free. False when another has said so.
 */
function claimPort(port: number): boolean {
  const claim = tryLock(join(tmpdir(), `tandem-ports-${userInfo().uid}`, String(port)));
  if (claim === null) return false;
  setTimeout(() => claim[Symbol.dispose](), CLAIM_MS).unref();
  return true;
}

/** The preferred port when it is free, else a random free one. @throws Error when fifty draws were all taken */
export async function choosePort(preferred: number, host = '127.0.0.1'): Promise<number> {
  if ((await isPortFree(preferred, host)) && claimPort(preferred)) return preferred;
  for (let draw = 0; draw < MAX_DRAWS; draw += 1) {
    const port = randomInt(SUBSTITUTES.first, SUBSTITUTES.end);
    if ((await isPortFree(port, host)) && claimPort(port)) return port;
  }
  throw new Error(`no free port found between ${SUBSTITUTES.first} and ${SUBSTITUTES.end} on ${host}`);
}

/** A port that someone asked for by name is never exchanged for another. @throws SetupError when it is taken */
export async function requirePort(port: number, host: string, variable: string): Promise<number> {
  if (await isPortFree(port, host)) return port;
  throw new SetupError(
    `${variable}=${port} can't be used: another process listens on ${host}:${port}, or the port needs more rights. ` +
      `Stop that process, set another ${variable}, or unset it to have a free one chosen.`,
  );
}
