import { readTableFacts, type TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  hasFieldColumns,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import { isVisible, parseSnapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import {
  classifyColumns,
  classifyLeaf,
  classifyTable,
  identityOf,
  type StreamedColumns,
  type StreamedLeaf,
} from './classify-table.ts';
import { preparePartitions } from './prepare-partitions.ts';
import { type AnnouncedReset, announceResets, GONE, type TableIdentities } from './reset-message.ts';

/** How soon a change of an idle table is noticed. A check reads a few catalog rows per table. */
const CHECK_INTERVAL_MS = 2_000;
/**
 * Shortest interval between two checks that the stream triggers: after an ALTER of many tables it describes each again.
 */
const MIN_INTERVAL_MS = 100;
/** A reset is an event for every account, so one serves all updates of this interval that do not say whose a row was. */
const UNSENT_INTERVAL_MS = 5 * 60_000;

export interface TableWatchDeps {
  readonly db: Queryable;
  readonly catalog: Catalog;
  readonly publicationName: string;
  /** The identities in the feed's last state. */
  readonly known: () => TableIdentities;
  /** Adopts the table's present identity without a reset. */
  readonly adopt: (resource: string, identity: string) => void;
  /** By default the clock. */
  readonly now?: () => number;
  readonly log: Log;
}

export interface TableWatch {
  /** Checks all tables once. @throws when the source cannot be queried */
  check(): Promise<void>;
  /** Checks until the signal aborts. A failed check is retried. */
  run(signal: AbortSignal): Promise<void>;
  /** Checks soon: the stream has described a table again, so it may have changed. */
  checkSoon(): void;
  /**
   * Notes a partition in the stream. If it is created and dropped between two checks, rows vanish that the feed has.
   */
  recordLeaf(leaf: StreamedLeaf): void;
  /** Notes the columns under which the stream has rows of a table. */
  recordColumns(columns: StreamedColumns): void;
  /** The feed has told a reset of the resource, which covers the rows before it. */
  forgetColumns(resource: string): void;
  /** Notes that an update of the resource may have moved its row without a word, for want of a replica identity. */
  recordUnsentMove(resource: string, xid: bigint): void;
  /**
   * Checks once if something is noted that may need a reset. To be called before the rows are published: after a crash
   * they are not streamed again, and nobody would announce it. What is noted is known to this session alone.
   *
   * @throws when the source cannot be queried; then the rows must not be published
   */
  settle(): Promise<void>;
}

/**
 * Watches for changes of tables that change rows without an event in the WAL, and announces each there as a reset of
 * its resource. The announcement is a transaction of its own that begins after the check: a snapshot that holds it also
 * holds the cause, so no subscriber that needs the reset skips it.
 */
export function createTableWatch(deps: TableWatchDeps): TableWatch {
  const { db, catalog, publicationName, log, now = Date.now } = deps;
  /** Announced and not yet streamed. */
  const pending = new Map<string, string>();
  /** Forms with all of their files, by the identity that stands for them. */
  const wholeForms = new Map<string, { readonly identity: string; readonly form: TableForm }>();
  /** Partitions in the stream that are in no announced form. */
  let heard: readonly StreamedLeaf[] = [];
  /** Columns in the stream that differ from the tables as last read. */
  let described: readonly StreamedColumns[] = [];
  /** The last transaction with such an update, by resource, and when each resource was reset for one. */
  const unsentMoves = new Map<string, bigint>();
  const unsentToldAtMs = new Map<string, number>();
  let lastFacts: ReadonlyMap<string, TableFacts> = new Map();
  const reported = new Map<string, string>();
  const notifier = createNotifier();

  const prepare = async (
    resource: Resource,
    facts: TableFacts | undefined,
    announced: string | undefined,
  ): Promise<TableFacts | undefined> => {
    if (facts === undefined) return undefined;
    const { isChanged, remedies } = await preparePartitions(db, resource, facts, announced, log);
    report(resource, remedies);
    if (!isChanged) return facts;
    const read = await readTableFacts(db, [resource], publicationName);
    return read.get(resource.name);
  };

  /** Reports once per set of partitions, because only the operator can correct it. */
  const report = ({ name }: Resource, remedies: readonly string[]) => {
    const text = remedies.join('; ');
    if (text === (reported.get(name) ?? '')) return;
    reported.set(name, text);
    if (text !== '')
      log.error('partitions.not_prepared', {
        resource: name,
        remedy: `run as the tables' owner: ${text}; until then each delete there resets the feed of the resource`,
      });
  };

  const remember = (resource: Resource, identity: string, facts: TableFacts | undefined) => {
    if (facts === undefined) wholeForms.delete(resource.name);
    else {
      const form = toTableForm(resource, facts, Number.POSITIVE_INFINITY);
      wholeForms.set(resource.name, { identity, form });
    }
  };

  /** Includes all files if this process made the form. */
  const announcedForm = (resource: string): TableForm | undefined => {
    const announced = deps.known().get(resource);
    const whole = wholeForms.get(resource);
    if (announced === undefined) return undefined;
    return whole?.identity === announced ? whole.form : parseTableForm(announced);
  };

  const isUnsentMoveDue = (resource: string): boolean =>
    unsentMoves.has(resource) &&
    now() - (unsentToldAtMs.get(resource) ?? Number.NEGATIVE_INFINITY) >= UNSENT_INTERVAL_MS;

  const isUnsentMoveSeen = (resource: string, facts: TableFacts | undefined): boolean => {
    const xid = unsentMoves.get(resource);
    return xid !== undefined && facts !== undefined && isVisible(xid, parseSnapshot(facts.snapshot));
  };

  /** A reset covers the moves that were visible when its cause was read. */
  const forgetUnsentMove = (resource: string, facts: TableFacts | undefined) => {
    if (!isUnsentMoveSeen(resource, facts)) return;
    unsentMoves.delete(resource);
    unsentToldAtMs.set(resource, now());
  };

  const checkAt = async (
    resource: Resource,
    read: TableFacts | undefined,
    leaves: readonly StreamedLeaf[],
    spoken: readonly StreamedColumns[],
  ): Promise<AnnouncedReset | undefined> => {
    const { name } = resource;
    const facts = await prepare(resource, read, pending.get(name) ?? deps.known().get(name));
    // The meaning of a renamed column is known once the catalog names it. Rows wait for that too.
    if (facts !== undefined && !hasFieldColumns(resource, facts)) {
      forgetSpoken(resource, spoken, facts);
      return undefined;
    }
    const known = deps.known().get(name);
    if (known !== undefined && known === pending.get(name)) pending.delete(name);
    const announced = pending.get(name) ?? known;
    const whole = wholeForms.get(name);
    const before = whole?.identity === announced ? whole?.form : undefined;
    const change = await classifyTable(db, resource, announced, before, facts);
    const reason =
      change.kind === 'reset'
        ? change.reason
        : announced === undefined
          ? undefined
          : reasonBesides(
              isUnsentMoveDue(name) && isUnsentMoveSeen(name, facts),
              leaves.some((leaf) => classifyLeaf(leaf, facts) === 'lost'),
              // A message that waits in the WAL is after these rows.
              !pending.has(name) &&
                spoken.some((each) => classifyColumns(each, resource, facts) === 'undone'),
            );
    if (reason === undefined && change.kind === 'same') {
      if (announced !== undefined) remember(resource, announced, facts);
      forget(leaves, facts);
      forgetSpoken(resource, spoken, facts);
      return undefined;
    }
    const identity = identityOf(resource, facts);
    if (reason !== undefined) {
      remember(resource, identity, facts);
      // Rows that came and went between two checks are gone.
      const isLossOnly =
        change.kind === 'reset' ? change.isLossOnly === true : reason === 'partition_changed';
      return { resource: name, identity, former: announced, reason, isLossOnly };
    }
    // A message waits in the WAL. A later check announces the present form after it.
    if (pending.has(name)) return undefined;
    remember(resource, identity, facts);
    forget(leaves, facts);
    forgetSpoken(resource, spoken, facts);
    deps.adopt(name, identity);
    return undefined;
  };

  const forget = (leaves: readonly StreamedLeaf[], facts: TableFacts | undefined) => {
    heard = heard.filter((leaf) => !leaves.includes(leaf) || classifyLeaf(leaf, facts) === 'unseen');
  };

  const forgetSpoken = (
    resource: Resource,
    spoken: readonly StreamedColumns[],
    facts: TableFacts | undefined,
  ) => {
    described = described.filter(
      (each) =>
        !spoken.includes(each) ||
        (!pending.has(resource.name) && classifyColumns(each, resource, facts) === 'unseen'),
    );
  };

  const checkOnce = async () => {
    // Read before the facts: they may not include a partition that is noted later.
    const leaves = heard;
    const spoken = described;
    const found = await readTableFacts(db, catalog.resources, publicationName);
    lastFacts = found;
    const resets: AnnouncedReset[] = [];
    for (const resource of catalog.resources) {
      const reset = await checkAt(
        resource,
        found.get(resource.name),
        leaves.filter((leaf) => leaf.resource === resource.name),
        spoken.filter((each) => each.resource === resource.name),
      );
      if (reset !== undefined) resets.push(reset);
    }
    if (resets.length === 0) return;
    await announceResets(db, resets);
    for (const { resource, identity, reason } of resets) {
      pending.set(resource, identity);
      forgetUnsentMove(resource, found.get(resource));
      forget(
        leaves.filter((leaf) => leaf.resource === resource),
        found.get(resource),
      );
      described = described.filter((each) => each.resource !== resource || !spoken.includes(each));
      const isPublished = found.get(resource)?.publication != null;
      log[isPublished ? 'warn' : 'error']('table.changed', {
        resource,
        reason,
        isPublished,
        remedy: isPublished
          ? 'none: subscribers get feed.reset and need a new export'
          : identity === GONE
            ? 'restore the table, or remove the resource from the catalog'
            : 'run `tandem source prepare`; until then its changes are missing, and subscribers get feed.reset afterwards',
      });
    }
  };

  // One at a time, so that none announces what another is about to.
  let last: Promise<void> = Promise.resolve();
  const check = () => {
    const next = last.then(checkOnce);
    last = next.catch(() => undefined);
    return next;
  };

  return {
    check,
    async run(signal) {
      while (!signal.aborted) {
        await sleep(MIN_INTERVAL_MS, signal);
        await notifier.wait(CHECK_INTERVAL_MS, signal);
        if (signal.aborted) return;
        try {
          await check();
        } catch (error) {
          if (!signal.aborted) log.warn('tables.check_failed', { error });
        }
      }
    },
    checkSoon: notifier.notify,
    recordLeaf(leaf) {
      const isKnown = ({ resource, oid }: StreamedLeaf) => resource === leaf.resource && oid === leaf.oid;
      // What follows a plain table in the stream is another table.
      if (lastFacts.get(leaf.resource)?.kind === 'r') return;
      if (announcedForm(leaf.resource)?.fileOf?.[leaf.oid] !== undefined || heard.some(isKnown)) return;
      heard = [...heard, leaf];
      notifier.notify();
    },
    recordColumns(columns) {
      const resource = catalog.resources.find(({ name }) => name === columns.resource);
      const facts = lastFacts.get(columns.resource);
      const isUsual =
        resource !== undefined &&
        facts !== undefined &&
        classifyColumns({ ...columns, xid: 0n }, resource, facts) === 'kept';
      if (!isUsual) described = [...described, columns];
    },
    forgetColumns(resource) {
      described = described.filter((each) => each.resource !== resource);
    },
    recordUnsentMove(resource, xid) {
      unsentMoves.set(resource, xid);
      if (isUnsentMoveDue(resource)) notifier.notify();
    },
    async settle() {
      const isAnyNoted = heard.length > 0 || described.length > 0;
      if (isAnyNoted || [...unsentMoves.keys()].some(isUnsentMoveDue)) await check();
    },
  };
}

/** The reset reason for what a table's form does not show. */
function reasonBesides(
  isRecordUnknown: boolean,
  isLost: boolean,
  areColumnsUndone: boolean,
): ResetReason | undefined {
  if (areColumnsUndone) return 'columns_changed';
  if (isLost) return 'partition_changed';
  return isRecordUnknown ? 'record_unknown' : undefined;
}
