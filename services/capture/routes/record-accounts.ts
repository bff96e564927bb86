import type { Route } from '../../../shared/control/routes.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { parseRecordId, type RecordRef, recordId } from '../../../shared/domain/record-ref.ts';
import type { ParentAccounts, RowVersion } from '../changes/captured-table.ts';

/** Routes by record, read from the control store when they are first needed. */
export interface RecordAccounts extends Pick<ParentAccounts, 'accountOf'> {
  /** Reads the routes of these records and of all that they lead to. `accountOf` and `moveOf` need them. */
  load(records: Iterable<RecordRef>): Promise<void>;
  /** Takes over routes that are in the control store by now. */
  add(routes: readonly Route[]): void;
  /** What a transaction changes for others by a record that was one account's before it, and another's at its end. */
  moveOf(record: RecordRef, commitLsn: Lsn): RecordMove | undefined;
  /** Forgets all, if that is more than the limit. Not between `load` and a lookup. */
  trim(): void;
  /** Since the process began. */
  readonly counts: LookupCounts;
}

export interface LookupCounts {
  readonly lookups: number;
  /** Records that were read from the control store. */
  readonly reads: number;
  /** Lookups that found no record, or nobody's. */
  readonly unresolved: number;
}

/** Other records have another account, because this one came, went, or changed its own. */
export interface RecordMove {
  /** Those before and after; one where the record was nobody's, or not there. */
  readonly accounts: readonly string[];
  /** The resources whose records refer to it. */
  readonly children: readonly string[];
}

/** Records whose routes are kept in memory: some 100 MB at most. */
const MAX_RECORDS = 200_000;

/** Records of one query. */
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

  /** As the transaction found the record, or as it leaves it; undefined where it is not there. */
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
