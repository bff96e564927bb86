import { openTestApi, type TestApi } from './api-server.ts';
import { createDashboardVisitor, type DashboardVisitor } from './dashboard.ts';

/** The dashboard of a product whose tables are empty, and whose feed has moved. */
export interface ExportPages extends AsyncDisposable {
  readonly api: TestApi;
  readonly visitor: DashboardVisitor;
  /** @returns the ID of an export that waits */
  newExport(account: { readonly key: string }): Promise<string>;
}

export async function openExportPages(): Promise<ExportPages> {
  const api = await openTestApi();
  await api.pool.query(`
    create schema documint;
    create table documint.customers (id bigint primary key, account_id text, created_at timestamptz, deleted_at timestamptz);
    create table documint.invoices (id bigint primary key, account_id text, number text, internal_notes text,
      created_at timestamptz, deleted_at timestamptz);
    insert into tandem.feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ('0/A0', '0/A0', '1', 1, now())`);
  return {
    api,
    visitor: createDashboardVisitor(api),
    newExport: async ({ key }) =>
      (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

/** What somebody reads, of markup that our pages make. */
export function textOfHtml(markup: string): string {
  const names: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return markup.replace(/<[^>]*>/g, '').replace(/&([^;]+);/g, (_, name: string) => names[name] ?? '');
}
