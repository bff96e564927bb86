import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import { EXAMPLE } from '../http/example-values.ts';

const AT = '2026-03-01T09:30:00.123456Z';

type Json = Readonly<Record<string, unknown>>;

/** The body of an event of each type, and of a batch, as an endpoint gets it. */
export function eventExamples(catalog: Catalog): ReadonlyMap<string, Json> {
  const ofRecords = catalog.resources.flatMap((resource) =>
    (['created', 'updated', 'deleted'] as const).map((verb): [string, Json] => [
      `${resource.event}.${verb}`,
      recordExample(resource, verb),
    ]),
  );
  const examples = new Map<string, Json>([
    ...ofRecords,
    ['feed.reset', resetExample(catalog)],
    ...Object.entries(accountExamples(catalog)),
  ]);
  const events = ofRecords.slice(0, 2).map(([, event], index) => ({ ...event, ...placeOf(index) }));
  examples.set('batch', { id: 'bat_5f7c0a9d3e1b8f2460d7c9e1a3', type: 'batch', events });
  return examples;
}

/** Places of changes in one transaction. */
function placeOf(index: number): Json {
  const digits = String(index).padStart(10, '0');
  return {
    id: `evt_00000000016B3748${digits}`,
    position: `00000000016B3748-${digits}`,
    transaction: { id: '7432', index },
  };
}

function recordExample({ event, name, key }: Resource, verb: 'created' | 'updated' | 'deleted'): Json {
  const keyColumns = Object.fromEntries(key.map((column) => [column, 1001]));
  const { id, position, transaction } = placeOf(0);
  return {
    id,
    type: `${event}.${verb}`,
    timestamp: AT,
    account_id: EXAMPLE.account,
    position,
    resource: name,
    key: keyColumns,
    data: { ...keyColumns, name: 'New' },
    ...(verb === 'updated' ? { previous: { name: 'Old' } } : {}),
    transaction,
  };
}

function resetExample({ resources: [first] }: Catalog): Json {
  const { id, position, transaction } = placeOf(0);
  const resource = first?.name ?? 'records';
  return {
    id,
    type: 'feed.reset',
    timestamp: AT,
    account_id: EXAMPLE.account,
    position,
    resource,
    key: null,
    data: { reason: 'table_truncated', resources: [resource] },
    transaction,
  };
}

function accountExamples({ resources: [first] }: Catalog): Readonly<Record<string, Json>> {
  const resource = first?.name ?? 'records';
  const account = (type: string, about: string, subject: string, data: Json): Json => ({
    id: 'evt_800000000000002A0000000000',
    type,
    timestamp: AT,
    account_id: EXAMPLE.account,
    position: null,
    resource: about,
    key: { id: subject },
    data,
  });
  const job = {
    id: EXAMPLE.export,
    status: 'completed',
    resources: [resource],
    rows: 100_000,
    error: null,
    created_at: EXAMPLE.at,
    completed_at: EXAMPLE.later,
    expires_at: EXAMPLE.muchLater,
  };
  const bulk = {
    id: EXAMPLE.job,
    status: 'completed',
    resource,
    operation: 'delete',
    total: 48_210,
    succeeded: 48_197,
    failed: 13,
    skipped: 0,
    error: null,
    created_at: EXAMPLE.at,
    ended_at: EXAMPLE.later,
  };
  const endpoint = { id: EXAMPLE.webhook, url: 'https://example.com/hook' };
  const stall = { reason: 'not_moving', stalled_at: EXAMPLE.at };
  const rowsDiffer = { code: 'row_count_mismatch', message: 'The counts differ. Start the export again.' };
  const tooMany = { code: 'max_failures', message: 'The job reached its limit of failed items.' };
  return {
    'feed.stalled': account('feed.stalled', 'feed', 'feed', stall),
    'feed.resumed': account('feed.resumed', 'feed', 'feed', stall),
    'export.completed': account('export.completed', 'export', EXAMPLE.export, job),
    'export.failed': account('export.failed', 'export', EXAMPLE.export, {
      ...job,
      status: 'failed',
      error: rowsDiffer,
      completed_at: null,
      expires_at: null,
    }),
    'export.expiring': account('export.expiring', 'export', EXAMPLE.export, job),
    'bulk.completed': account('bulk.completed', 'bulk', EXAMPLE.job, bulk),
    'bulk.failed': account('bulk.failed', 'bulk', EXAMPLE.job, { ...bulk, status: 'failed', error: tooMany }),
    'webhook.disabled': account('webhook.disabled', 'webhook', EXAMPLE.webhook, {
      ...endpoint,
      description: null,
      status: 'disabled',
      status_reason: 'the endpoint returned 410 Gone',
      failing_since: EXAMPLE.at,
    }),
    'webhook.test': account('webhook.test', 'webhook', EXAMPLE.webhook, { ...endpoint, events: ['*'] }),
  };
}
