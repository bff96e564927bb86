import { expect, test } from 'vitest';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import { whySingle } from './why-single.ts';

const NOTES: Resource = {
  name: 'notes',
  table: { schema: 'shop', name: 'notes' },
  event: 'note',
  key: ['id'],
  account: 'account_id',
  range: 'created_at',
  softDelete: 'deleted_at',
  hide: [],
  related: [],
  operations: {},
  syncLimit: 100,
};

const REQUEST = parseExportRequest({ resources: ['notes'], snapshot: 'chunked' });

const RANGE = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };

const why = (
  request: Partial<ExportRequest>,
  notes: Partial<Resource> = {},
  accountId: string | null = 'acct_1',
) => whySingle({ ...REQUEST, ...request }, [{ ...NOTES, ...notes }], accountId);

test('what a changed record alone decides can be read in chunks', () => {
  expect(why({})).toBeUndefined();
  expect(why({ date_range: RANGE, include_deleted: true })).toBeUndefined();
  expect(why({ include_related: true, include_deleted: true })).toBeUndefined();
  expect(why({ include_related: true }, { softDelete: undefined })).toBeUndefined();
  expect(why({ as_of: '2026-01-01T00:00:00Z' })).toBeUndefined();
  expect(why({}, { account: { columns: ['parent_id'], parents: [{ resource: NOTES }] } })).toBeUndefined();
});

test('what needs other records or hidden values says why it is read under one snapshot', () => {
  expect(why({}, {}, null)).toMatch('all accounts');
  expect(why({ changes_since: 'exp_1' })).toMatch('changes_since');
  expect(why({ include_related: true })).toMatch('include_deleted');
  expect(why({ include_related: true, include_deleted: true, date_range: RANGE })).toMatch('date_range');
});
