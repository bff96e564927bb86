import { expect, test } from 'vitest';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { type PlacedKey, planAsOf } from './plan-as-of.ts';

const SELECTION: RowSelection = {
  resource: {
    name: 'lines',
    table: { schema: 'shop', name: 'lines' },
    event: 'line',
    key: ['id'],
    account: 'account_id',
    range: undefined,
    softDelete: undefined,
    hide: [],
    related: [],
    operations: {},
    syncLimit: 100,
  },
  request: {
    resources: ['lines'],
    include_deleted: true,
    include_related: false,
    date_range: null,
    changes_since: null,
    as_of: '2026-01-01T00:00:00Z',
    max_rows_per_second: null,
  },
  accountSourceId: 'acme',
  references: [],
};
const KEY = [{ name: 'id', sqlType: 'bigint', kind: 'long', collation: null }] as const;

/** A server whose bounds are given, and which refuses what a cursor that only goes forward can't do. */
function session(bounds: readonly (readonly [key: string, rows: number, keys: number])[], keys: PlacedKey[]) {
  let [bound, key] = [0, 0];
  const query: SourceSession['query'] = async (text) => {
    const count = Number(/^fetch (\d+)/.exec(text)?.[1] ?? -1);
    if (count === 0) throw new Error('cursor can only scan forward');
    if (text.endsWith('tandem_bounds') && count > 0) {
      const found = bounds[bound];
      bound += 1;
      const rows = found ? [{ k0: found[0], rows_in: String(found[1]), keys_so_far: String(found[2]) }] : [];
      return { rows, rowCount: rows.length };
    }
    const found = count > 0 ? keys.slice(key, key + count) : [];
    key += found.length;
    const rows = found.map(({ place, isIn }) => ({ place, is_in: isIn ? 't' : 'f' }));
    return { rows, rowCount: rows.length };
  };
  return { query } as SourceSession;
}

async function plan(source: SourceSession) {
  const assigned: unknown[] = [];
  const chunks: unknown[] = [];
  const assign = async (chunk: number, keys: readonly PlacedKey[]) => {
    assigned.push([chunk, keys.map(({ place }) => place)]);
  };
  for await (const each of planAsOf(source, SELECTION, KEY, 'tandem_as_of_0', 10, assign)) {
    chunks.push([each.chunk, each.lowerKey?.[0] ?? null, each.upperKey?.[0], each.rows]);
  }
  return { assigned, chunks };
}

const KEYS: PlacedKey[] = [
  { place: '4', isIn: true },
  { place: '0', isIn: false },
  { place: '7', isIn: false },
];

test('chunks have the rows between two bounds, and the affected keys there', async () => {
  const source = session(
    [
      ['10', 9, 2],
      ['20', 19, 2],
      ['25', 24, 3],
    ],
    KEYS,
  );
  expect(await plan(source)).toEqual({
    chunks: [
      [0, null, '10', 9],
      [1, '10', '20', 10],
      [2, '20', '25', 5],
    ],
    assigned: [
      [0, ['4', '0']],
      [1, []],
      [2, ['7']],
    ],
  });
});

test('keys without any record make no chunk, and the next one begins behind them', async () => {
  const source = session(
    [
      ['10', 0, 2],
      ['20', 8, 3],
    ],
    KEYS,
  );
  expect(await plan(source)).toEqual({ chunks: [[0, '10', '20', 8]], assigned: [[0, ['7']]] });
});
