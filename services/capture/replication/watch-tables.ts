import { readTableFacts, type TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  hasFieldColumns,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { classifyLeaf, classifyTable, identityOf, type StreamedLeaf } from './classify-table.ts';
import type { PgOutputMessage } from './pgoutput.ts';
import { preparePartitions } from './prepare-partitions.ts';
import { type AnnouncedReset, announceResets, GONE, type TableIdentities } from './reset-message.ts';

/** How soon a change of an idle table is noticed. A check reads a few catalog rows per table. */
const CHECK_INTERVAL_MS = 2_000;
/**
 * Shortest interval between two checks that the stream triggers: after an ALTER of many tables it describes each again.
 */
const MIN_INTERVAL_MS = 100;

export interface TableWatchDeps {
  readonly db: Queryable;
  readonly catalog: Catalog;
  readonly publicationName: string;
  /** The identities in the feed's last state. */
  readonly known: () => TableIdentities;
  /** Adopts the table's present identity without a reset. */
  readonly adopt: (resource: string, identity: string) => void;
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
}

/**
 * Watches for changes of tables that change rows without an event in the WAL, and announces each there as a reset of
 * its resource. The announcement is a transaction of its own that begins after the check: a snapshot that holds it also
 * holds the cause, so no subscriber that needs the reset skips it.
 */
export function createTableWatch(deps: TableWatchDeps): TableWatch {
  const { db, catalog, publicationName, log } = deps;
  /** Announced and not yet streamed. */
  const pending = new Map<string, string>();
  /** Forms with all of their files, by the identity that stands for them. */
  const wholeForms = new Map<string, { readonly identity: string; readonly form: TableForm }>();
  /** Partitions in the stream that are in no announced form. */
  let heard: readonly StreamedLeaf[] = [];
  const reported = new Map<string, string>();
  const notifier = createNotifier();

  const prepare = async (
    resource: Resource,
    facts: TableFacts | undefined,
  ): Promise<{ facts: TableFacts | undefined; hadRows: boolean }> => {
    if (facts === undefined) return { facts, hadRows: false };
    const { isChanged, hadRows, remedies } = await preparePartitions(db, resource, facts, log);
    report(resource, remedies);
    if (!isChanged) return { facts, hadRows };
    const read = await readTableFacts(db, [resource], publicationName);
    return { facts: read.get(resource.name), hadRows };
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

  const checkAt = async (
    resource: Resource,
    read: TableFacts | undefined,
    leaves: readonly StreamedLeaf[],
  ): Promise<AnnouncedReset | undefined> => {
    const { name } = resource;
    const { facts, hadRows } = await prepare(resource, read);
    // The meaning of a renamed column is known once the catalog names it. Rows wait for that too.
    if (facts !== undefined && !hasFieldColumns(resource, facts)) return undefined;
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
              hadRows,
              leaves.some((leaf) => classifyLeaf(leaf, facts) === 'lost'),
            );
    if (reason === undefined && change.kind === 'same') {
      if (announced !== undefined) remember(resource, announced, facts);
      forget(leaves, facts);
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
    deps.adopt(name, identity);
    return undefined;
  };

  const forget = (leaves: readonly StreamedLeaf[], facts: TableFacts | undefined) => {
    heard = heard.filter((leaf) => !leaves.includes(leaf) || classifyLeaf(leaf, facts) === 'unseen');
  };

  const check = async () => {
    // Read before the facts: they may not include a partition that is noted later.
    const leaves = heard;
    const found = await readTableFacts(db, catalog.resources, publicationName);
    const resets: AnnouncedReset[] = [];
    for (const resource of catalog.resources) {
      const reset = await checkAt(
        resource,
        found.get(resource.name),
        leaves.filter((leaf) => leaf.resource === resource.name),
      );
      if (reset !== undefined) resets.push(reset);
    }
    if (resets.length === 0) return;
    await announceResets(db, resets);
    for (const { resource, identity, reason } of resets) {
      pending.set(resource, identity);
      forget(
        leaves.filter((leaf) => leaf.resource === resource),
        found.get(resource),
      );
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
      if (announcedForm(leaf.resource)?.fileOf?.[leaf.oid] !== undefined || heard.some(isKnown)) return;
      heard = [...heard, leaf];
      notifier.notify();
    },
  };
}

/** The reset reason for what a table's form does not show. */
function reasonBesides(hadRows: boolean, isLost: boolean): ResetReason | undefined {
  if (isLost) return 'partition_changed';
  return hadRows ? 'record_unknown' : undefined;
}

export interface RelationDeps {
  /** The resource of a table that the stream has described. */
  readonly resourceOf: (relationId: number) => string | undefined;
  readonly widenXid: (xid: number) => bigint;
  readonly watch: Pick<TableWatch, 'checkSoon' | 'recordLeaf'>;
}

/**
 * Follows the stream's descriptions of tables, because a table that is described again may have changed. Changes of a
 * partition are sent as the root's. Before them the stream describes the root, and right after it the partition.
 */
export function watchRelations({
  resourceOf,
  widenXid,
  watch,
}: RelationDeps): (message: PgOutputMessage) => void {
  let xid = 0n;
  let lastDescribed: string | undefined;
  return (message) => {
    if (message.kind === 'begin') xid = widenXid(message.xid);
    if (message.kind !== 'relation') return;
    const resource = resourceOf(message.id);
    if (resource === undefined && lastDescribed !== undefined) {
      watch.recordLeaf({ resource: lastDescribed, oid: message.id, xid });
    }
    lastDescribed = resource;
    watch.checkSoon();
  };
}
