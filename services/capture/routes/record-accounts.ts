import type { Route } from '../../../shared/control/routes.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { parseRecordId, type RecordRef, recordId } from '../../../shared/domain/record-ref.ts';
import type { ParentAccounts, RowVersion } from '../changes/captured-table.ts';

/** Routes by record, read from the control store when first needed. */
export interface RecordAccounts extends Pick<ParentAccounts, 'accountOf'> {
  /** Reads the routes of these records and of all records on their paths. `accountOf` and `moveOf` need them. */
  load(records: Iterable<RecordRef>): Promise<void>;
  /** Adds routes that are in the control store by now. */
  add(routes: readonly Route[]): void;
  /**
   * The effect of a transaction on other records, if a record belonged to one account before it and to another after
   * it.
   */
  moveOf(record: RecordRef, commitLsn: Lsn): RecordMove | undefined;
  /** Clears the cache if it is over its limit. Not between `load` and a lookup. */
  trim(): void;
  /** Totals since the process started. */
  readonly counts: LookupCounts;
}

export interface LookupCounts {
  readonly lookups: number;
  /** Records that were read from the control store. */
  readonly reads: number;
  /** Lookups that found no record, or one without an account. */
  readonly unresolved: number;
}

/** A record was created, deleted, or moved to another account, so the account of other records changed. */
export interface RecordMove {
  /** The accounts before and after; only one where the record has no account or does not exist. */
  readonly accounts: readonly string[];
  /** The resources whose records refer to it. */
  readonly children: readonly string[];
}

/** Limit of cached records: about 100 MB. */
const MAX_RECORDS = 200_000;

/** Records per query. */
const READ_LIMIT = 5_000;

type Version = Omit<Route, 'resource' | 'key'>;

export function createRecordAccounts(
  catalog: Catalog,
  read: (records: readonly RecordRef[]) => Promise<readonly Route[]>,
  maxRecords: number = MAX_RECORDS,
): RecordAccounts {
  const versions = new Map<string, Version[]>();
  const roots = new Set(
    catalog.resources.flatMap(({ name, account }) => (typeof account === 'string' ? [name] : [])),
  );
  const counts = { lookups: 0, reads: 0, unresolved: 0 };

  const known = (record: RecordRef): readonly Version[] => {
    const found = versions.get(recordId(record));
    if (found === undefined) throw new Error(`the routes of a record of ${record.resource} were not loaded`);
    return found;
  };

  /** The record before or after the transaction; undefined where it does not exist. */
  const find = (record: RecordRef, version: RowVersion, commitLsn: Lsn): Version | undefined => {
    const found = known(record).findLast(({ sinceLsn }) =>
      version === 'before' ? sinceLsn < commitLsn : sinceLsn <= commitLsn,
    );
    return found?.isDeleted === false ? found : undefined;
  };

  const accountOf = (record: RecordRef, version: RowVersion, commitLsn: Lsn): string => {
    const owner = find(record, version, commitLsn)?.owner ?? null;
    if (owner === null) return '';
    return roots.has(record.resource) ? owner : accountOf(parseRecordId(owner), version, commitLsn);
  };

  const insert = ({ resource, key, ...added }: Route) => {
    const of = versions.get(recordId({ resource, key }));
    if (of === undefined) return;
    const at = of.findIndex(({ sinceLsn }) => sinceLsn >= added.sinceLsn);
    if (at < 0) of.push(added);
    else of.splice(at, of[at]?.sinceLsn === added.sinceLsn ? 1 : 0, added);
  };

  const parentsOfVersions = (record: RecordRef): RecordRef[] => {
    if (roots.has(record.resource)) return [];
    const of = versions.get(recordId(record)) ?? [];
    return of.flatMap(({ owner }) => (owner === null ? [] : [parseRecordId(owner)]));
  };

  const byId = (records: readonly RecordRef[]) =>
    new Map(records.map((record) => [recordId(record), record]));

  return {
    counts,
    accountOf(record, version, commitLsn) {
      const account = accountOf(record, version, commitLsn);
      counts.lookups += 1;
      if (account === '') counts.unresolved += 1;
      return account;
    },
    async load(records) {
      let level = byId([...records]);
      while (level.size > 0) {
        const unread = [...level.values()].filter((record) => !versions.has(recordId(record)));
        for (let from = 0; from < unread.length; from += READ_LIMIT) {
          const some = unread.slice(from, from + READ_LIMIT);
          const found = await read(some);
          counts.reads += some.length;
          for (const record of some) versions.set(recordId(record), []);
          for (const route of found) insert(route);
        }
        level = byId([...level.values()].flatMap(parentsOfVersions));
      }
    },
    add(routes) {
      for (const route of routes) insert(route);
    },
    moveOf(record, commitLsn) {
      const after = known(record).find(({ sinceLsn }) => sinceLsn === commitLsn);
      if (after === undefined || after.referredBy.length === 0) return undefined;
      const [from, to] = [accountOf(record, 'before', commitLsn), accountOf(record, 'after', commitLsn)];
      if (from === to) return undefined;
      return { accounts: [from, to].filter((account) => account !== ''), children: after.referredBy };
    },
    trim() {
      if (versions.size > maxRecords) versions.clear();
    },
  };
}
