import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSourceFacts } from '../../../services/api/admin/source-facts.ts';
import { readTypedKey, rowsAsOfQuery } from '../../../services/extractor/as-of/as-of-queries.ts';
import {
  keyedRowsQuery,
  parseRecordKey,
  presentKeysQuery,
  readKeyColumns,
} from '../../../services/extractor/changes-since/keyed-queries.ts';
import { findKeysAmong } from '../../../services/extractor/chunked/key-order.ts';
import { rowsQuery } from '../../../services/extractor/plan/row-selection.ts';
import type { SourceSession } from '../../../services/extractor/source/source-session.ts';
import { canBeNamed } from '../../../shared/bulk/item-ids.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeRowType, describeTables } from '../../../shared/catalog/describe-table.ts';
import { describeKeyLimits } from '../../../shared/catalog/key-limits.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { resource as resourceOf } from '../../support/resource.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

/** Key columns whose equal values may be written in more than one way, with texts that are equal in several of them. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  citext: ['Ann', 'ANN', 'ann', 'bob', 'Bob', 'cy'],
  'text collate app.ci': ['Ann', 'ANN', 'ann', 'bob', 'Bob', 'cy'],
  numeric: ['55', '55.0', '55.000', '-0.5', '-0.50', '7'],
  float8: ['0', '-0', 'NaN'],
  interval: ['60 days 00:01', '2 mons 00:01', '1 day'],
  'char(6)': ['a', 'a ', 'b', 'bb', 'c', 'd'],
  numrange: ['[1,2)', '[1.0,2.00)', 'empty'],
  timestamptz: [
    '2026-01-01 00:00Z',
    '2026-01-01 01:00+01',
    '2026-01-02Z',
    'infinity',
    '0001-01-01 BC',
    '1999-12-31Z',
  ],
};

let database: TestDatabase;
let db: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('keys');
  db = openProductPool({
    connectionString: database.url,
    max: 1,
    types: rawTypes,
    options: TEXT_SESSION_OPTIONS,
  });
  await db.query(`create schema app; create extension citext;
    create collation app.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create type app.pair as (x int, y text); create domain app.pairs as app.pair; create domain app.ci_text as text collate app.ci`);
});
afterAll(async () => {
  await db?.end();
  await database?.drop();
});

const RESOURCE = resourceOf('items', {});
const SELECTION = {
  resource: RESOURCE,
  request: {
    resources: ['items'],
    include_deleted: true,
    include_related: false,
    date_range: null,
    changes_since: null,
    as_of: null,
    max_rows_per_second: null,
  },
  accountSourceId: 'acme',
  references: [],
};

test.each(Object.entries(TYPES))(
  'a replica that compares keys as texts follows files and deltas of %s',
  async (type, texts) => {
    await db.query(`drop table if exists app.items;
    create table app.items (id ${type} primary key, account_id text not null default 'acme', n int)`);
    const client = await db.connect();
    const session = {
      client,
      query: async (text: string, values: unknown[]) => {
        const { rows, rowCount } = await client.query(text, values);
        return { rows, rowCount: rowCount ?? 0 };
      },
    } as unknown as SourceSession;
    try {
      const rowType = await describeRowType(client, RESOURCE, await loadTypes(client));
      const { ofPgTexts } = createRecordKey(rowType, ['id']);
      const keyColumns = await readKeyColumns(session, RESOURCE);
      const typedKey = await readTypedKey(session, RESOURCE);
      /** What a full export has, by the text of the key. */
      const table = async () => {
        const { rows } = await client.query<(string | null)[]>({
          text: 'select id, n from app.items',
          rowMode: 'array',
        });
        return new Map(rows.map(([id, n]) => [ofPgTexts([id ?? null, 'acme', n ?? null]), n]));
      };
      const step = fc.record({
        from: fc.nat(texts.length - 1),
        to: fc.nat(texts.length - 1),
        kind: fc.constantFrom('insert', 'rename', 'delete', 'touch'),
      });
      const runs = fc.sample(fc.array(step, { minLength: 3, maxLength: 12 }), { numRuns: 16, seed: 5 });
      for (const [run, steps] of runs.entries()) {
        await client.query('truncate app.items');
        let earlier = new Map<string, string | null | undefined>();
        const affected = new Set<string>();
        for (const [n, { from, to, kind }] of steps.entries()) {
          // From here on what the feed tells of: each key text that a change shows.
          if (n === Math.floor(steps.length / 2)) {
            earlier = await table();
            affected.clear();
          }
          const before = await table();
          const [sql, values] = {
            insert: ['insert into app.items (id, n) values ($1, $2) on conflict do nothing', [texts[to], n]],
            rename: ['update app.items set id = $1, n = $2 where id = $3', [texts[to], n, texts[from]]],
            delete: ['delete from app.items where id = $1', [texts[from]]],
            touch: ['update app.items set n = $2 where id = $1', [texts[from], n]],
          }[kind] as [string, unknown[]];
          await client
            .query(sql, values)
            .catch((error: { code?: string }) => expect(error.code).toBe('23505'));
          const after = await table();
          for (const key of new Set([...before.keys(), ...after.keys()])) {
            if (before.get(key) !== after.get(key)) affected.add(key);
          }
        }
        const source = await table();
        const keys = [...affected].map((key) => parseRecordKey(key, 1));
        const present = presentKeysQuery(SELECTION, keyColumns, keys);
        const places = (await client.query(present.text, [...present.values])).rows.map(
          ({ place }) => Number(place) - 1,
        );
        const changed = keyedRowsQuery(SELECTION, ['id', 'n'], keyColumns, keys);
        const { rows } = await client.query(changed.text, [...changed.values]);
        const replica = new Map(earlier);
        for (const [place, key] of [...affected].entries()) if (!places.includes(place)) replica.delete(key);
        for (const { id, n } of rows) replica.set(ofPgTexts([id, 'acme', n]), n);
        expect({ run, replica }).toEqual({ run, replica: source });
        expect(rows.length).toBe(places.length);

        // The past again: rows that no event tells of, and of the others those that were there.
        const images = [...affected].map((key) => ({
          texts: parseRecordKey(key, 1),
          isIn: earlier.has(key),
        }));
        const past = rowsAsOfQuery(
          SELECTION,
          ['id', 'account_id', 'n'],
          { lowerKey: null, upperKey: null },
          typedKey,
          images,
        );
        const rebuilt = await client.query<(string | null)[]>({
          text: past.text,
          values: [...past.values],
          rowMode: 'array',
        });
        const was = new Map(
          rebuilt.rows.map(([id, , n, place]) => {
            const key =
              place === null
                ? ofPgTexts([id ?? null, 'acme', n ?? null])
                : ([...affected][Number(place) - 1] ?? '');
            return [key, place === null ? n : earlier.get(key)];
          }),
        );
        expect({ run, was }).toEqual({ run, was: earlier });
      }
    } finally {
      client.release();
    }
  },
);

/** Orders of one's own: capitals first, and `w` as a `v` with an accent where the server knows rules, since 16. */
const TAILORED: Readonly<Record<string, string>> = {
  tailored: `provider = icu, locale = 'und-u-kf-upper'`,
  tailored_blind: `provider = icu, locale = 'und-u-ks-level2', deterministic = false`,
};
const RULES = `, rules = '&V << w <<< W'`;

test.each(Object.entries(TAILORED))(
  'the order of keys under a collation with rules of its own is the database’s in every part: %s',
  async (name, definition) => {
    const { rows: versions } = await db.query<{ v: string }>(
      "select current_setting('server_version_num') as v",
    );
    const hasRules = Number(versions[0]?.v) >= 160_000;
    await db.query(`create collation app.${name} (${definition}${hasRules ? RULES : ''}); drop table if exists app.items;
      create table app.items (id text collate app.${name} primary key, account_id text not null default 'acme', n int)`);
    const client = await db.connect();
    const session = {
      client,
      query: async (text: string, values: unknown[] = []) => {
        const { rows, rowCount } = await client.query(text, values);
        return { rows, rowCount: rowCount ?? 0 };
      },
    } as unknown as SourceSession;
    try {
      const letters = ['v', 'V', 'w', 'W', 'u', 'x', '0', '1', '2', 'é', ' '];
      const texts = letters.flatMap((a) => ['', ...letters].map((b) => `${a}${b}`));
      await client.query('insert into app.items (id) select unnest($1::text[]) on conflict do nothing', [
        texts,
      ]);
      const ordered = (await client.query('select id from app.items order by id')).rows.map(
        ({ id }) => id as string,
      );
      if (hasRules) expect(ordered.indexOf('w')).toBeLessThan(ordered.indexOf('vx'));
      const key = await readTypedKey(session, RESOURCE);

      const halves = [ordered.filter((_, n) => n % 2 === 0), ordered.filter((_, n) => n % 2 === 1)];
      const [fixed = [], asked = []] = halves.map((half) => half.map((text) => [text]));
      const among = await findKeysAmong(session, key, fixed, 'wire', asked.toReversed());
      expect(among.map(({ index, before }) => [asked.toReversed()[index], before])).toEqual(
        asked.map((texts, n) => [texts, n + 1]),
      );

      const cuts = [0, 17, 40, 41, ordered.length];
      for (const [n, to] of cuts.entries()) {
        const from = cuts[n - 1] ?? 0;
        const keyAt = (end: number) => (end === 0 ? null : [ordered[end - 1] ?? '']);
        const bounds = { lowerKey: keyAt(from), upperKey: keyAt(to || ordered.length) };
        const { text, values } = rowsQuery(SELECTION, ['id'], bounds, { keyCasts: [''] });
        const { rows } = await client.query(text, [...values]);
        const expected = ordered.slice(from, to || ordered.length);
        expect(rows.map(({ id }) => id)).toEqual(expected);
        const images = expected.map((id) => ({ texts: [id], isIn: true })).toReversed();
        const past = rowsAsOfQuery(SELECTION, ['id'], bounds, key, images);
        const rebuilt = await client.query<(string | null)[]>({
          text: past.text,
          values: [...past.values],
          rowMode: 'array',
        });
        expect(rebuilt.rows.map(([id]) => id)).toEqual(expected);
      }
    } finally {
      client.release();
    }
  },
);

test.each([
  ['jsonb', 'structure'],
  ['int[]', 'structure'],
  ['app.pair', 'structure'],
  ['app.pairs', 'structure'],
  ['text collate app.ci', 'collation'],
  ['app.ci_text', 'collation'],
  ['citext', null],
  ['text', null],
  ['int', null],
])(
  'what a key of %s does not allow is said by name, and refused before an export runs',
  async (type, limit) => {
    await db.query(`drop table if exists app.items;
    create table app.items (id ${type} primary key, account_id text not null, n int)`);
    const [table] = await describeTables(db, [{ schema: 'app', name: 'items' }]);
    if (table === undefined) throw new Error('no table');
    const isStructured = limit === 'structure';
    expect(table.columns.map(({ equality }) => equality)).toEqual([limit, null, null]);
    const said = describeKeyLimits(RESOURCE, table).join();
    const refused = isStructured ? 'changes_since and as_of' : limit === 'collation' ? 'no IDs' : '';
    expect(said).toContain(refused);
    expect(said === '').toBe(limit === null);
    expect(canBeNamed(table.columns.slice(0, 1))).toBe(['text', 'int'].includes(type));

    const fields = [{ name: 'no', column: 'id' }];
    const catalog = { name: 'probe', resources: [{ ...RESOURCE, fields }] };
    const facts = createSourceFacts(catalog, { source: db, log: silentLog, now: () => 0 });
    const outcome = facts.requireFindableKeys(['items'], '/changes_since');
    if (isStructured) {
      const detail = expect.stringContaining('items, whose key field no is');
      await expect(outcome).rejects.toMatchObject({ errors: [{ pointer: '/changes_since', detail }] });
    } else await outcome;
    const asked = { name: 'probe', resources: [{ ...RESOURCE, asOf: true }] };
    const codes = (await checkCatalog(db, asked)).map(({ code }) => code);
    expect(codes.includes('as_of')).toBe(isStructured);
  },
);
