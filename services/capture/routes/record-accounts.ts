import type { Route } from '../../../shared/control/routes.ts';
import { type Catalog, parentOf } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { ParentAccounts, RowVersion } from '../changes/captured-table.ts';

export interface RecordRef {
  readonly resource: string;
  readonly key: string;
}

/** Routes by record, read from the control store when they are first needed. */
export interface RecordAccounts extends ParentAccounts {
  /** Reads the routes of these records and of all that they lead to. `accountOf` and `moveOf` need them. */
  load(records: Iterable<RecordRef>): Promise<void>;
  /** Takes over routes that are in the control store by now. */
  add(routes: readonly Route[]): void;
  /** Whether nothing is known of the record as of the commit: it is not there. */
  isUnknown(record: RecordRef, commitLsn: Lsn): boolean;
  /** Whether the record was there, and was deleted before the commit. */
  wasDeleted(record: RecordRef, commitLsn: Lsn): boolean;
  /** The two accounts of a record that was one's before the transaction, and another's at its end. */
  moveOf(record: RecordRef, commitLsn: Lsn): readonly [from: string, to: string] | undefined;
  /** Forgets all, if that is more than the limit. Not between `load` and a lookup. */
  trim(): void;
}

/** Records whose routes are kept in memory: some 100 MB at most. */
const MAX_RECORDS = 200_000;

/** Records of one query. */
const READ_LIMIT = 5_000;

type Version = Pick<Route, 'sinceLsn' | 'owner' | 'isDeleted'>;

export function createRecordAccounts(
  catalog: Catalog,
  read: (records: readonly RecordRef[]) => Promise<readonly Route[]>,
  maxRecords: number = MAX_RECORDS,
): RecordAccounts {
  const versions = new Map<string, Version[]>();
  /** For a resource with a parent its name; undefined for one with an account column. */
  const parents = new Map(catalog.resources.map((each) => [each.name, parentOf(each)?.parent.name]));
  const idOf = ({ resource, key }: RecordRef) => `${resource}/${key}`;

  /**
   * A transaction's own route holds for all of its new row versions. An old version was there before the transaction, and has the route
   * from before it. If its parent was not there by then, the transaction made both. A parent that was deleted earlier is not there: an
   * enforced key leaves no child of it, and its key may be another record's by now.
   */
  const find = (record: RecordRef, version: RowVersion, commitLsn: Lsn): Version | undefined => {
    const known = versions.get(idOf(record));
    if (known === undefined) throw new Error(`the routes of a record of ${record.resource} were not loaded`);
    const own = known.find(({ sinceLsn }) => sinceLsn === commitLsn);
    const earlier = known.findLast(({ sinceLsn }) => sinceLsn < commitLsn);
    if (version === 'before') return earlier?.isDeleted === false ? earlier : (own ?? earlier);
    return own ?? (earlier?.isDeleted === false ? earlier : undefined);
  };

  const accountBy = (
    resource: string,
    found: Version | undefined,
    version: RowVersion,
    commitLsn: Lsn,
  ): string => {
    if (found === undefined || found.owner === null) return '';
    const parent = parents.get(resource);
    if (parent === undefined) return found.owner;
    const next = { resource: parent, key: found.owner };
    return accountBy(parent, find(next, version, commitLsn), version, commitLsn);
  };

  const insert = ({ resource, key, sinceLsn, owner, isDeleted }: Route) => {
    const known = versions.get(idOf({ resource, key }));
    if (known === undefined) return;
    const at = known.findIndex((each) => each.sinceLsn >= sinceLsn);
    const added = { sinceLsn, owner, isDeleted };
    if (at < 0) known.push(added);
    else known.splice(at, known[at]?.sinceLsn === sinceLsn ? 1 : 0, added);
  };

  const parentsOfVersions = (record: RecordRef): RecordRef[] => {
    const parent = parents.get(record.resource);
    if (parent === undefined) return [];
    const known = versions.get(idOf(record)) ?? [];
    return known.flatMap(({ owner }) => (owner === null ? [] : [{ resource: parent, key: owner }]));
  };

  return {
    accountOf(parent, key, version, commitLsn) {
      return accountBy(parent, find({ resource: parent, key }, version, commitLsn), version, commitLsn);
    },
    async load(records) {
      let level = new Map([...records].map((record) => [idOf(record), record]));
      while (level.size > 0) {
        const unread = [...level.values()].filter((record) => !versions.has(idOf(record)));
        for (let from = 0; from < unread.length; from += READ_LIMIT) {
          const some = unread.slice(from, from + READ_LIMIT);
          const found = await read(some);
          for (const record of some) versions.set(idOf(record), []);
          for (const route of found) insert(route);
        }
        level = new Map(
          [...level.values()].flatMap(parentsOfVersions).map((record) => [idOf(record), record]),
        );
      }
    },
    add(routes) {
      for (const route of routes) insert(route);
    },
    isUnknown: (record, commitLsn) => find(record, 'after', commitLsn) === undefined,
    wasDeleted: (record, commitLsn) =>
      versions.get(idOf(record))?.findLast(({ sinceLsn }) => sinceLsn < commitLsn)?.isDeleted === true,
    moveOf(record, commitLsn) {
      const known = versions.get(idOf(record)) ?? [];
      const before = known.findLast(({ sinceLsn }) => sinceLsn < commitLsn);
      const after = known.find(({ sinceLsn }) => sinceLsn === commitLsn);
      // Deleted by the same transaction, it may have had children in between.
      if (before === undefined || after === undefined || before.isDeleted) return undefined;
      const from = accountBy(record.resource, before, 'before', commitLsn);
      const to = accountBy(record.resource, after, 'after', commitLsn);
      return from === to ? undefined : [from, to];
    },
    trim() {
      if (versions.size > maxRecords) versions.clear();
    },
  };
}
