import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { StoredHeaders } from '../../../shared/runtime/sealed-headers.ts';
import type { SealedSecret } from './store.ts';

export interface SecretsRow {
  id: string;
  secrets: SealedSecret[];
  headers: StoredHeaders;
}

/** What endpoints keep sealed, in the order of endpoints' IDs. */
export async function listSecrets(
  db: Queryable,
  afterId: string | undefined,
  limit: number,
): Promise<SecretsRow[]> {
  const { rows } = await db.query<SecretsRow>(
    `select id, secrets, headers from webhooks where $1::text is null or id > $1 order by id limit $2`,
    [afterId ?? null, limit],
  );
  return rows;
}

/** @returns whether they were replaced: not if the endpoint is gone, or its secrets are others by now */
export async function replaceSecrets(
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
