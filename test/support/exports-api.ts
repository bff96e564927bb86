import { type ApiReply, openTestApi, type TestApi } from './api-server.ts';

/** The api over tables of DocuMint, of which exports can be made. */
export async function openExportsApi(): Promise<TestApi> {
  const api = await openTestApi();
  await api.pool.query(`
    create schema documint;
    create table documint.customers (id bigint primary key, account_id text, name text, created_at timestamptz, deleted_at timestamptz);
    create table documint.invoices (id bigint primary key, account_id text, memo text, internal_notes text,
      created_at timestamptz, due_on date, deleted_at timestamptz);
    create table documint.line_items (id bigint primary key, account_id text, created_at timestamptz, deleted_at timestamptz);
    insert into documint.invoices select n, 'source_1', 'memo ' || n, 'secret', now(), current_date, null
      from generate_series(1, 1000) n;
    analyze documint.customers, documint.invoices, documint.line_items`);
  return api;
}

export function postExport(
  api: TestApi,
  key: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<ApiReply> {
  return api.call('POST', '/exports', { key, body, headers });
}

/** What other services are told of an export, in order. */
export async function outboxOf(api: TestApi, id: string): Promise<string[]> {
  const { rows } = await api.pool.query<{ type: string }>(
    'select type from outbox where key = $1 order by id',
    [id],
  );
  return rows.map(({ type }) => type);
}
