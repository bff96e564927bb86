import type { Pool } from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import {
  openHeaders,
  type SecretBox,
  type StoredHeaders,
  sealHeaders,
} from '../../../shared/runtime/secret-box.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { SealedSecret } from './store.ts';

/** Another api process that still has an earlier key as its own may seal with it until it is restarted. */
const ROUND_MS = 60_000;
/** Without earlier keys, only an older release that still runs can leave headers unsealed. */
const QUIET_ROUND_MS = 60 * 60_000;
const PAGE = 200;

export interface ResealerDeps {
  readonly pool: Pool;
  readonly box: SecretBox;
  readonly log: Log;
}

/**
 * Seals the secrets and headers of all endpoints with the current key, so that earlier keys can be removed.
 * Also seals headers that an earlier release stored in clear. Several processes may do so at once.
 *
 * @returns how many endpoints were changed, and how many were not because no key opens a secret of theirs
 */
export async function resealSecrets({
  pool,
  box,
  log,
}: ResealerDeps): Promise<{ resealed: number; left: number }> {
  let resealed = 0;
  let left = 0;
  const reseal = async (row: SecretsRow): Promise<void> => {
    const areSecretsCurrent = row.secrets.every(({ ciphertext }) => box.isCurrent(ciphertext));
    const areHeadersCurrent = typeof row.headers === 'string' && box.isCurrent(row.headers);
    if (areSecretsCurrent && areHeadersCurrent) return;
    const secrets = row.secrets.map((secret) => ({
      ...secret,
      ciphertext: box.seal(box.open(secret.ciphertext)),
    }));
    const headers = sealHeaders(openHeaders(row.headers, box), box);
    if (await replaceSecrets(pool, row, { secrets, headers })) resealed += 1;
    else left += 1;
  };
  let page: SecretsRow[] = [];
  do {
    page = await listSecrets(pool, page.at(-1)?.id, PAGE);
    for (const row of page) {
      try {
        await reseal(row);
      } catch (error) {
        left += 1;
        log.error('secrets.not_resealed', {
          endpointId: row.id,
          remedy: 'add the key that sealed them to SECRET_KEY_PREVIOUS, or rotate the endpoint’s secret',
          error,
        });
      }
    }
  } while (page.length === PAGE);
  return { resealed, left };
}

/** Its log says when endpoints no longer need earlier keys. */
export function createSecretResealer(deps: ResealerDeps & { readonly hasEarlierKeys: boolean }): Worker {
  return {
    name: 'secret-resealer',
    run(signal) {
      const reseal = async () => deps.log.info('secrets.resealed', await resealSecrets(deps));
      const onFailed = (error: unknown) => deps.log.warn('secrets.not_read', { error });
      return runRounds(reseal, { restMs: deps.hasEarlierKeys ? ROUND_MS : QUIET_ROUND_MS, onFailed }, signal);
    },
  };
}

export interface SecretsRow {
  id: string;
  secrets: SealedSecret[];
  headers: StoredHeaders;
}

/** The sealed values of endpoints, ordered by endpoint ID. */
async function listSecrets(db: Queryable, afterId: string | undefined, limit: number): Promise<SecretsRow[]> {
  const { rows } = await db.query<SecretsRow>(
    `select id, secrets, headers from webhooks where $1::text is null or id > $1 order by id limit $2`,
    [afterId ?? null, limit],
  );
  return rows;
}

/** @returns false when the endpoint is deleted or its secrets have changed */
async function replaceSecrets(
  db: Queryable,
  { id, secrets, headers }: SecretsRow,
  sealed: { readonly secrets: readonly SealedSecret[]; readonly headers: string },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update webhooks set secrets = $3::jsonb, headers = $5::jsonb
     where id = $1 and secrets = $2::jsonb and headers = $4::jsonb`,
    [
      id,
      JSON.stringify(secrets),
      JSON.stringify(sealed.secrets),
      JSON.stringify(headers),
      JSON.stringify(sealed.headers),
    ],
  );
  return rowCount === 1;
}
