import { openTestApi, type TestApi } from './api-server.ts';

type Account = Awaited<ReturnType<TestApi['account']>>;

/** Of every check that has completed. */
export const DIGEST = '0123456789abcdef'.repeat(4);

/** The dashboard of a product with the old rows of invoices in its feed, and without those of customers. */
export interface VerifyPages extends AsyncDisposable {
  readonly api: TestApi;
  /** Changes of all accounts are recorded, as after their first export. */
  recordAll(): Promise<unknown>;
  recordedAccount(): Promise<Account>;
  /** What an extractor and a writer would have done. */
  complete(checkId: string): Promise<void>;
}

export async function openVerifyPages(): Promise<VerifyPages> {
  const api = await openTestApi({ dashboard: { frameAncestors: [] } });
  await api.pool.query(`
    create schema documint;
    create table documint.customers (id bigint primary key, account_id text, created_at timestamptz, deleted_at timestamptz);
    create table documint.invoices (id bigint primary key, account_id text, number text, internal_notes text,
      created_at timestamptz, deleted_at timestamptz);
    alter table documint.invoices replica identity full`);
  const recordAll = () => api.pool.query(`update accounts set recorded_from_at = now() - interval '1 hour'`);
  return {
    api,
    recordAll,
    async recordedAccount() {
      const account = await api.account();
      await recordAll();
      return account;
    },
    async complete(checkId) {
      const file = {
        name: 'invoices.digest.jsonl',
        resource: 'invoices',
        rows: 1_234,
        bytes: 9,
        sha256: 'a',
        path: 'x',
      };
      await api.pool.query(
        `/* arranged */ update exports set status = 'completed', phase = 'done', files = $2, started_at = now(), completed_at = now(),
           expires_at = now() + interval '90 days', cut_lsn = '0/1A2B', rows_extracted = 1234, rows_written = 1234 where id = $1`,
        [checkId, JSON.stringify([{ ...file, digest: DIGEST }])],
      );
    },
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
