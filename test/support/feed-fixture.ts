import { eventId } from '../../shared/domain/position.ts';
import { openTestApi, type TestApi } from './api-server.ts';

export interface EventFacts {
  lsn: number;
  index?: number;
  xid?: number;
  resource?: string;
  committedAt?: string;
  payload?: string;
}

/** The api over an event log that the test fills as the dispatcher would, for one account at a time. */
export interface FeedFixture extends AsyncDisposable {
  readonly api: TestApi;
  /** Empties the log. @returns the account that events are recorded for from here on */
  reset(): Promise<{ id: string; key: string; sourceId: string }>;
  /** @returns the event's ID */
  record(facts: EventFacts): Promise<string>;
  settle(lsn: number): Promise<void>;
  /** A completed export with start 0x10, seal 0x40, and a snapshot that holds every xid below 200 but 150. @returns its ID */
  completedExport(takenAt?: string): Promise<string>;
}

export async function openFeedFixture(): Promise<FeedFixture> {
  const api = await openTestApi();
  await api.pool.query('create table events_all partition of events default');
  let account = await api.account();
  return {
    api,
    async reset() {
      await api.pool.query('truncate events; delete from feed_state');
      account = await api.account();
      return account;
    },
    async record({ lsn, index = 0, xid = 100, resource = 'invoices', committedAt, payload }) {
      const id = eventId({ commitLsn: BigInt(lsn), index });
      const text = payload ?? `{"id":"${id}","resource":"${resource}"}`;
      await api.pool.query(
        `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
         values ($1, $2, $3, $4, 'invoice.updated', $5, '["1"]', coalesce($6::timestamptz, now()), $7)`,
        [`0/${lsn.toString(16)}`, index, account.id, xid, resource, committedAt ?? null, text],
      );
      return id;
    },
    async settle(lsn) {
      await api.pool.query(
        `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ($1, $1, '1', 1, now())`,
        [`0/${lsn.toString(16)}`],
      );
    },
    async completedExport(takenAt = new Date().toISOString()) {
      const body = { resource: 'invoices' };
      const { json } = await api.call('POST', '/exports', { key: account.key, body });
      await api.pool.query(
        `/* arranged */ update exports set status = 'completed', phase = 'done', start_lsn = '0/10', sealed_lsn = '0/40',
           snapshot = jsonb_build_object('taken_at', $2::text, 'lsn', '0/30', 'xmin', '150', 'xmax', '200', 'xip', '["150"]'::jsonb)
         where id = $1`,
        [json.id, takenAt],
      );
      return json.id;
    },
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
