import type { Log } from '../../runtime/log.ts';

/** What a broker is shown in place of a password. */
export interface Token {
  readonly value: string;
  /** From the moment it was asked for. 0: not known, so it serves for one login only. */
  readonly lifeMs: number;
}

/** There is no token for a login. The message says what to do, and holds no secret. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  /** Whether it may pass by itself, as an outage does. */
  readonly isOutage: boolean;

  constructor(message: string, { isOutage }: { readonly isOutage: boolean }) {
    super(message);
    this.isOutage = isOutage;
  }
}

export interface TokenSource {
  /** @throws TokenError */
  get(): Promise<string>;
  /** The broker refuses the token that it was given: the next login gets another. */
  forget(): void;
}

/**
 * The client logs in again 10 s before the broker ends its session, which lasts no longer than the token, and a broker takes
 * no second login within a second. A token with less left would have every request wait for a login.
 */
const LEAST_LEFT_MS = 12_000;

/** Half of it is more than what must be left. */
export const LEAST_LIFE_MS = 30_000;

/**
 * Keeps one token for all connections. It is renewed at the first login after half of its life; while that fails, the old one
 * serves as long as it can.
 *
 * @param fetchToken rejects with a TokenError
 */
export function keepToken(
  fetchToken: () => Promise<Token>,
  log: Pick<Log, 'warn'>,
  now: () => number = Date.now,
): TokenSource {
  let kept: { readonly value: string; readonly renewAtMs: number; readonly endsAtMs: number } | undefined;
  let running: Promise<string> | undefined;

  const renew = async (): Promise<string> => {
    const askedAtMs = now();
    try {
      const { value, lifeMs } = await fetchToken();
      if (lifeMs > 0 && lifeMs < LEAST_LIFE_MS) {
        const seconds = [lifeMs, LEAST_LIFE_MS].map((ms) => Math.floor(ms / 1_000));
        throw new TokenError(
          `the token lasts ${seconds[0]} s: let the server give it ${seconds[1]} s or more`,
          {
            isOutage: false,
          },
        );
      }
      kept = { value, renewAtMs: askedAtMs + lifeMs / 2, endsAtMs: askedAtMs + lifeMs };
      return value;
    } catch (error) {
      const leftMs = kept === undefined ? 0 : kept.endsAtMs - now();
      if (kept === undefined || leftMs < LEAST_LEFT_MS) throw error;
      log.warn('kafka.token_not_renewed', { error, leftMs });
      return kept.value;
    }
  };

  return {
    get() {
      if (kept !== undefined && now() < kept.renewAtMs) return Promise.resolve(kept.value);
      running ??= renew().finally(() => {
        running = undefined;
      });
      return running;
    },
    forget() {
      kept = undefined;
    },
  };
}
