import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const FOLDER = new URL('./migrations/', import.meta.url);

/** Meets an empty control store, at which no older process works. */
const FIRST = '000001_control_store.sql';

/** What an older process would not find any more, or would have to give without knowing it. Indexes and checks may go. */
const BREAKING = [
  /\bdrop\s+(table|column|view|function|trigger|type|sequence|schema)\b/gi,
  /\brename\s+(column|to)\b/gi,
  /\balter\s+column\s+\S+\s+(set\s+data\s+)?(type\b|set\s+not\s+null|drop\s+default)/gi,
  /\badd\s+(column\s+)?(if\s+not\s+exists\s+)?(?!constraint|check|foreign|primary|unique)\w+\s+[^,;]*\bnot\s+null\b(?![^,;]*\b(default|generated)\b)[^,;]*/gi,
];

/** @returns the words of a migration that processes of the release before it cannot live with */
function breakingIn(sql: string): string[] {
  const statements = sql.replaceAll(/--.*$/gm, '').replaceAll(/'[^']*'/g, "''");
  return BREAKING.flatMap((pattern) => statements.match(pattern) ?? []).map((found) => found.trim());
}

test('a migration only adds: older processes work beside newer ones, also after a way back', () => {
  const files = readdirSync(FOLDER).filter((name) => name > FIRST);
  expect(files.length).toBeGreaterThan(20);
  const offences = files.flatMap((name) =>
    breakingIn(readFileSync(new URL(name, FOLDER), 'utf8')).map((found) => `${name}: ${found}`),
  );
  expect(offences).toEqual([]);
});

test.each([
  ['alter table exports drop column kind', 'drop column'],
  ['alter table exports rename column kind to sort', 'rename column'],
  ['alter table exports alter column rows type numeric', 'alter column rows type'],
  ['alter table exports alter column rows set not null', 'alter column rows set not null'],
  ['alter table exports add column place bigint not null', 'add column place bigint not null'],
])('%s breaks older processes', (sql, found) => {
  expect(breakingIn(sql)).toEqual([found]);
});

test.each([
  'alter table exports add column place bigint not null default 0, add column note text; -- drop column later',
  'alter table exports drop constraint exports_status_check, add constraint exports_status_check check (status is not null)',
  'alter table exports add column number bigint not null generated always as identity',
  'drop index concurrently if exists exports_active_idx',
])('%s does not', (sql) => {
  expect(breakingIn(sql)).toEqual([]);
});
