import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { SealedSecret } from './webhooks.ts';

export interface SecretsRow {
  id: string;
  secrets: SealedSecret[];
}

/** Endpoints' secrets, in the order of endpoints' IDs. */
export async function listSecrets(
  db: Queryable,
  afterId: string | undefined,
  limit: number,
): Promise<SecretsRow[]> {
  const { rows } = await db.query<SecretsRow>(
    `select id, secrets from webhooks where $1::text is null or id > $1 order by id limit $2`,
    [afterId ?? null, limit],
  );
  return rows;
}

/** @returns whether they were replaced: not if the endpoint is gone, or its secrets are others by now */
export async function replaceSecrets(
  db: Queryable,
  { id, secrets }: SecretsRow,
  sealed: readonly SealedSecret[],
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update webhooks set secrets = $3::jsonb where id = $1 and secrets = $2::jsonb`,
    [id, JSON.stringify(secrets), JSON.stringify(sealed)],
  );
  return rowCount === 1;
}
