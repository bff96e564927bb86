import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import type { TableRecord } from '../../../shared/kafka/capture-tables.ts';
import type { CaptureTable } from '../../../shared/kafka/messages.ts';
import type { TableIdentities } from '../replication/reset-message.ts';
import type { CaptureProgress } from './capture-progress.ts';

/** A form has about 250 bytes, with many partitions twice that. So a record has less than 150 kB. */
const TABLES_PER_RECORD = 200;

/** A record that has to be written, because the topic has other tables under its number, or none. */
export interface ChangedRecord {
  readonly number: number;
  readonly schemaId: number;
  readonly tables: readonly CaptureTable[];
}

/** What the topic says of tables, and what it has to say next. */
export interface TableListing {
  /**
   * Empty while nothing has changed.
   *
   * @param schemaId what records are written with. It is another one once the registry had lost the schema, and then a reader that
   *   starts later cannot read the records that are there.
   */
  changed(identities: TableIdentities, schemaId: number): ChangedRecord[];
  /** Notes where the records of `changed` are. */
  written(records: readonly ChangedRecord[], offsets: readonly number[]): void;
  /** Of all records, by their numbers. */
  offsets(): number[];
}

/** @param stored the last state; undefined at the first start */
export function createTableListing(
  catalog: Catalog,
  stored?: Pick<CaptureProgress, 'tables' | 'tableRecords'>,
): TableListing {
  const present = catalog.resources.map((resource) => ({
    resource: resource.name,
    fingerprint: catalogFingerprint(resource),
  }));
  // What leaves the catalog may come back, and its table may have been altered by then.
  const left = [...(stored?.tables.keys() ?? [])]
    .filter((name) => findResource(catalog, name) === undefined)
    .map((resource) => ({ resource, fingerprint: null }));
  const entries = [...present, ...left];
  const groups = Array.from({ length: Math.ceil(entries.length / TABLES_PER_RECORD) }, (_, number) =>
    entries.slice(number * TABLES_PER_RECORD, (number + 1) * TABLES_PER_RECORD),
  );
  const records: (TableRecord | undefined)[] = groups.map((_, number) => stored?.tableRecords?.[number]);

  const isSaid = (group: typeof entries, identities: TableIdentities, record: TableRecord) =>
    record.tables.length === group.length &&
    group.every(({ resource, fingerprint }, place) => {
      const said = record.tables[place];
      return (
        said?.resource === resource &&
        said.fingerprint === fingerprint &&
        said.identity === (identities.get(resource) ?? null)
      );
    });

  return {
    changed: (identities, schemaId) =>
      groups.flatMap((group, number) => {
        const record = records[number];
        if (record?.schemaId === schemaId && isSaid(group, identities, record)) return [];
        const tables = group.map((entry) => ({ ...entry, identity: identities.get(entry.resource) ?? null }));
        return [{ number, schemaId, tables }];
      }),
    written(changed, offsets) {
      for (const [place, { number, schemaId, tables }] of changed.entries()) {
        records[number] = { offset: offsets[place] as number, schemaId, tables };
      }
    },
    offsets: () => records.flatMap((record) => (record === undefined ? [] : [record.offset])),
  };
}
