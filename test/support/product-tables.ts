export const BASE = 'id bigint primary key, account_id text not null, n int not null default 0';

/** Every kind of table that a catalog takes, with the SQL that makes it in the schema `shop`. */
export const productTables = (major: number): Readonly<Record<string, string>> => ({
  plain: `create table shop.plain (${BASE})`,
  stored: `create table shop.stored (${BASE}, total int generated always as (n * 2) stored)`,
  indexed: `create table shop.indexed (${BASE}, total int generated always as (n * 2) stored, unique (account_id, id));
    create unique index on shop.indexed (id, account_id, total)`,
  ...(major >= 18
    ? { virtual: `create table shop.virtual (${BASE}, twice int generated always as (n * 2) virtual)` }
    : {}),
  parts: `create table shop.parts (id bigint, account_id text not null, n int not null default 0,
      total int generated always as (n * 2) stored, primary key (id, account_id)) partition by range (id);
    create table shop.parts_1 partition of shop.parts for values from (0) to (500);
    create table shop.parts_2 partition of shop.parts for values from (500) to (1000000)`,
  composite: `create table shop.composite (id bigint, line int default 1, account_id text not null, n int default 0,
      primary key (id, line))`,
  toasted: `create table shop.toasted (${BASE}, body text default repeat('x', 20000))`,
  typed: `create domain shop.positive as int check (value >= 0); create type shop.state as enum ('open', 'closed');
    create table shop.typed (${BASE}, d shop.positive default 1, s shop.state default 'open')`,
  counted: `create table shop.counted (id bigint generated always as identity primary key, account_id text not null,
      n int not null default 0, serial_no bigserial, total int generated always as (n * 2) stored)`,
  parents: `create table shop.parents (${BASE}); create table shop.children (id bigint primary key,
      parent_id bigint not null references shop.parents on delete cascade, account_id text not null, n int default 0)`,
  noted: `create table shop.noted (${BASE}); create table shop.notes (id bigserial, said text);
    create function shop.note() returns trigger language plpgsql as
      $$ begin insert into shop.notes (said) values (tg_op); return coalesce(new, old); end $$;
    create trigger note before insert or update or delete on shop.noted for each row execute function shop.note()`,
  nullable: `create table shop.nullable (id bigint primary key, account_id text, n int default 0)`,
  inherits: `create table shop.forebear (${BASE}); create table shop.inherits (like shop.forebear including all)
      inherits (shop.forebear)`,
});

/** How a catalog names one of them. */
export const resourceLine = (name: string): string =>
  `  ${name}: { table: shop.${name}, event: e_${name}, key: [${name === 'composite' ? 'id, line' : name === 'parts' ? 'id, account_id' : 'id'}], account: account_id }`;

/** A catalog of them. */
export const catalogYaml = (names: readonly string[]): string =>
  `catalog: shop\nresources:\n${names.map(resourceLine).join('\n')}\n`;
