import type { StoredHeaders } from '../../runtime/sealed-headers.ts';

/** Columns of `webhooks w` that make an endpoint. */
export const ENDPOINT_COLUMNS = `
  w.id, w.account_id, w.url, w.events, w.headers, w.max_in_flight, w.rate_limit, w.batch, w.delivery_order, w.status, w.secrets,
  w.handoff_snapshot, w.handoff_until_lsn, w.cursor_lsn, w.cursor_idx, w.done, w.failures_in_row,
  w.failing_since, w.rest_until, w.settings_version, w.cursor_epoch`;

export interface EndpointRow {
  id: string;
  account_id: string;
  url: string;
  events: string[];
  headers: StoredHeaders;
  max_in_flight: number;
  rate_limit: number | null;
  delivery_order: 'record' | 'strict';
  batch: { max_events: number; max_wait_ms: number } | null;
  status: string;
  secrets: { ciphertext: string; expires_at: string | null }[];
  handoff_snapshot: string | null;
  handoff_until_lsn: string | null;
  cursor_lsn: string;
  cursor_idx: number;
  done: string[];
  failures_in_row: number;
  failing_since: Date | null;
  rest_until: Date | null;
  settings_version: number;
  cursor_epoch: number;
}
