import { type Catalog, ownerColumns, type Resource, whereColumns } from '../domain/catalog.ts';
import { columnsOfFields } from '../domain/public-field.ts';
import type { Queryable } from '../postgres/queryable.ts';

/** A column, and the transaction that last wrote its description. */
export interface ColumnFact {
  readonly place: number;
  readonly name: string;
  readonly typeOid: number;
  readonly collation: number;
  readonly version: string;
  /** Rows from before the column have this default in it, without a write. */
  readonly hasMissing: boolean;
  readonly isGenerated: boolean;
}

/** A table with rows of the resource: the table itself, or a leaf of its partition tree. */
export interface FileFact {
  readonly oid: number;
  readonly name: string;
  readonly file: number;
  readonly persistence: string;
  readonly kind: string;
  /** `relreplident`. */
  readonly identity: string;
  /** What the old version of a row carries; every column under FULL. */
  readonly identityColumns: readonly string[];
  /** From the root down: what made it a part of the tree. Empty for the table itself. */
  readonly links: readonly LinkFact[];
}

export interface LinkFact {
  readonly xid: number;
  /** The table was created as a partition, so that every row it ever had came as a change of the root. */
  readonly isCreation: boolean;
}

/** A label of an enum, an attribute of a composite type, or what is under a domain. */
export interface TypeFact {
  readonly text: string;
  /** Of labels only: one that is added changes no value that is there. */
  readonly xid: number | null;
}

/** A type of the product's own that a column is of, or is made of, and who last wrote each part of its description. */
export interface TypeVersion {
  readonly oid: number;
  readonly version: string;
}

/** Everything in the source's catalogs on which it depends what a resource's records are like, at one moment. */
export interface TableFacts {
  readonly oid: number;
  readonly kind: string;
  /** The moment, as `pg_current_snapshot()`. */
  readonly snapshot: string;
  /** What of the table's changes is published, and since when; null for nothing. */
  readonly publication: string | null;
  /** All changes of the table, of all rows and columns, are published under its own name. */
  readonly isPublished: boolean;
  readonly replicaIdentity: string;
  /** What the stream says of an old row that the table's identity carries; of a partitioned table, of its root alone. */
  readonly identityColumns: readonly string[];
  /** The role may read the table, and row security hides nothing of it. */
  readonly isReadable: boolean;
  readonly columnCount: number;
  readonly columns: readonly ColumnFact[];
  readonly files: readonly FileFact[];
  readonly types: readonly TypeFact[];
  /** Equal versions of equal types: nobody has altered or renamed any of them. In the order of their OIDs. */
  readonly typeVersions: readonly TypeVersion[];
  /** Tables that inherit from it in the old way: a read returns their rows, and the WAL does not report their changes. */
  readonly childCount: number;
}

/** A JSON list of the names that a table's replica identity has. @param c alias of its `pg_class` row */
const identityColumnsOf = (c: string) => `(
  select coalesce(json_agg(a.attname order by a.attnum), '[]') from pg_attribute a
  where a.attrelid = ${c}.oid and a.attnum > 0 and not a.attisdropped and (${c}.relreplident = 'f' or exists (
    select from pg_index x where x.indrelid = ${c}.oid and a.attnum = any (x.indkey)
      and (${c}.relreplident = 'd' and x.indisprimary or ${c}.relreplident = 'i' and x.indisreplident)))
)`;

/** OIDs of what PostgreSQL brings along end here; nobody alters those types. */
const FIRST_USER_OID = 16_384;

/** A JSON list of the versions of types. @param oids a query of their OIDs */
const typeVersionsOf = (oids: string) => `(
  select coalesce(json_agg(json_build_object('oid', t.oid::int8, 'version', concat_ws('/', t.xmin, n.xmin,
    (select string_agg(concat_ws(' ', e.oid, e.xmin), ',' order by e.oid) from pg_enum e where e.enumtypid = t.oid),
    (select string_agg(concat_ws(' ', a.attnum, a.xmin), ',' order by a.attnum)
      from pg_attribute a where t.typrelid <> 0 and a.attrelid = t.typrelid and a.attnum > 0)
  )) order by t.oid), '[]')
  from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.oid in (${oids})
)`;

/**
 * `xmin` of a catalog row is the transaction that wrote it, and stays so when the row is frozen. ATTACH writes the description of each
 * column again: where one is as the command left it that created the table, the table was created as a partition. What is a partition is followed by
 * `pg_inherits` alone, because functions such as `pg_partition_tree` know the present and not the session's snapshot.
 */
const READ_FACTS = `
with recursive root as (
  select w.resource, w.shown, w.hidden, c.oid, c.relkind, c.relnatts, c.relpersistence, c.relreplident, c.relnamespace
  from json_to_recordset($1::json) as w("resource" text, "schema" text, "name" text, "shown" jsonb, "hidden" jsonb)
  join pg_namespace n on n.nspname = w."schema"
  join pg_class c on c.relnamespace = n.oid and c.relname = w."name"
), link as (
  select i.inhrelid, i.inhparent, i.xmin::text::int8 as xid,
    i.xmin = s.xmin and exists (
      select from pg_attribute u
      where u.attrelid = i.inhrelid and u.attnum > 0 and not u.attisdropped and u.xmin = s.xmin and u.cmin = s.cmin
    ) as is_creation
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid and c.relispartition and c.relkind in ('r', 'p', 'f')
  join pg_attribute s on s.attrelid = i.inhrelid and s.attname = 'tableoid'
  where not i.inhdetachpending
), tree as (
  select r.resource, r.oid, array[]::json[] as links from root r
  union all
  select t.resource, l.inhrelid, t.links || json_build_object('xid', l.xid, 'isCreation', l.is_creation)
  from tree t join link l on l.inhparent = t.oid
), used as (
  select r.resource, a.atttypid as oid
  from root r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  where a.atttypid >= ${FIRST_USER_OID} and (r.shown is null or r.shown ? a.attname) and not r.hidden ? a.attname
  union
  select u.resource, part.oid
  from used u join pg_type t on t.oid = u.oid cross join lateral (
    select t.typbasetype as oid
    union all select t.typelem
    union all select a.atttypid from pg_attribute a
      where t.typrelid <> 0 and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    union all select g.rngsubtype from pg_range g where g.rngtypid = t.oid or g.rngmultitypid = t.oid
  ) part
  where part.oid >= ${FIRST_USER_OID}
)
select coalesce(json_object_agg(r.resource, json_build_object(
  'oid', r.oid::int8,
  'kind', r.relkind::text,
  'snapshot', pg_current_snapshot()::text,
  'publication', (
    select concat_ws('/', p.oid, p.xmin, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
      pr.oid, pr.xmin, pn.oid, r.relpersistence)
    from pg_publication p
    left join pg_publication_rel pr on pr.prpubid = p.oid and pr.prrelid = r.oid
    left join pg_publication_namespace pn on pn.pnpubid = p.oid and pn.pnnspid = r.relnamespace
    where p.pubname = $2 and (p.puballtables or pr.oid is not null or pn.oid is not null)
  ),
  'isPublished', exists (
    select from pg_publication p
    left join pg_publication_rel pr on pr.prpubid = p.oid and pr.prrelid = r.oid
    left join pg_publication_namespace pn on pn.pnpubid = p.oid and pn.pnnspid = r.relnamespace
    where p.pubname = $2 and p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate
      and (p.pubviaroot or r.relkind <> 'p')
      and (p.puballtables or pn.oid is not null or (pr.oid is not null and pr.prqual is null and pr.prattrs is null))
  ),
  'replicaIdentity', r.relreplident::text,
  'identityColumns', ${identityColumnsOf('r')},
  'isReadable', coalesce(has_schema_privilege(r.relnamespace, 'USAGE') and has_table_privilege(r.oid, 'SELECT')
    and not (r.relkind in ('r', 'p') and row_security_active(r.oid)), false),
  'columnCount', r.relnatts,
  'columns', (
    select coalesce(json_agg(json_build_object(
      'place', a.attnum, 'name', a.attname, 'typeOid', a.atttypid::int8, 'collation', a.attcollation::int8,
      'version', a.xmin::text, 'isGenerated', a.attgenerated <> '',
      'hasMissing', a.atthasmissing or (r.relkind = 'p' and exists (
        select from tree t join pg_attribute l on l.attrelid = t.oid
        where t.resource = r.resource and l.attname = a.attname and l.atthasmissing))
    ) order by a.attnum), '[]')
    from pg_attribute a where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  ),
  'files', (
    select coalesce(json_agg(json_build_object(
      'oid', c.oid::int8, 'name', format('%I.%I', n.nspname, c.relname), 'file', c.relfilenode::int8,
      'persistence', c.relpersistence::text, 'kind', c.relkind::text, 'identity', c.relreplident::text, 'links', t.links,
      'identityColumns', ${identityColumnsOf('c')}
    ) order by c.oid), '[]')
    from tree t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
    where t.resource = r.resource and c.relkind <> 'p'
  ),
  'types', (
    select coalesce(json_agg(json_build_object('text', f.text, 'xid', f.xid)), '[]') from (
      select concat_ws('/', 'label', e.enumtypid, e.oid, e.enumlabel) as text, e.xmin::text::int8 as xid
      from used u join pg_enum e on e.enumtypid = u.oid where u.resource = r.resource
      union all
      select concat_ws('/', 'attribute', t.oid, a.attnum, a.atttypid, a.atttypmod, a.xmin, a.attname), null
      from used u join pg_type t on t.oid = u.oid join pg_attribute a on a.attrelid = t.typrelid
      where u.resource = r.resource and a.attnum > 0 and not a.attisdropped
      union all
      select concat_ws('/', 'domain', t.oid, t.typbasetype, t.typtypmod), null
      from used u join pg_type t on t.oid = u.oid where u.resource = r.resource and t.typbasetype <> 0
    ) f
  ),
  'typeVersions', ${typeVersionsOf('select u.oid from used u where u.resource = r.resource')},
  'childCount', (
    select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = r.oid and not c.relispartition
  )
)), '{}')::text as facts
from root r`;

/** Reads the present versions of these types. */
export async function readTypeVersions(
  db: Pick<Queryable, 'query'>,
  oids: readonly number[],
): Promise<readonly TypeVersion[]> {
  const { rows } = await db.query<{ versions: string }>({
    name: 'read_type_versions',
    text: `select ${typeVersionsOf('select unnest($1::oid[])')}::text as versions`,
    values: [oids],
  });
  return JSON.parse(rows[0]?.versions ?? '[]') as TypeVersion[];
}

/** Columns that decide whose a record is, which one it is, and whether it is shown. */
export function neededColumns(resource: Resource): readonly string[] {
  const { key, softDelete } = resource;
  const named = [...key, ...ownerColumns(resource), ...(softDelete === undefined ? [] : [softDelete])];
  return [...named, ...whereColumns(resource)];
}

/**
 * The facts of each resource whose table exists, in one statement, and so of one moment; inside a transaction with a snapshot,
 * of that snapshot.
 */
export async function readTableFacts(
  db: Pick<Queryable, 'query'>,
  resources: Catalog['resources'],
  publicationName: string,
): Promise<ReadonlyMap<string, TableFacts>> {
  const wanted = resources.map((resource: Resource) => {
    const { name, table, expose, hide, fields } = resource;
    const shown = fields === undefined ? expose : columnsOfFields(fields);
    const needed = neededColumns(resource);
    return {
      resource: name,
      schema: table.schema,
      name: table.name,
      shown: shown === undefined ? null : [...shown, ...needed],
      hidden: hide.filter((column) => !needed.includes(column)),
    };
  });
  // PostgreSQL takes longer to plan it than to run it: a connection that asks again finds the plan kept.
  const { rows } = await db.query<{ facts: string }>({
    name: 'read_table_facts',
    text: READ_FACTS,
    values: [JSON.stringify(wanted), publicationName],
  });
  return new Map(Object.entries(JSON.parse(rows[0]?.facts ?? '{}') as Record<string, TableFacts>));
}
