import { DatabaseError } from 'pg';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeRowType } from '../../../shared/catalog/describe-table.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import {
  ancestorsOf,
  type Catalog,
  findResource,
  type Resource,
  withAncestors,
} from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import type { AsideMessage, SetAside } from '../aside/set-asides.ts';
import { changeMessages, describeFlaw, isRowFlaw, requireFits } from './collect-changes.ts';

export interface SetAsideWatch {
  readonly asides: () => readonly SetAside[];
  /** Resources that did not fit when the process started. */
  readonly refused: readonly string[];
  /** @returns the faults of resources whose tables do not fit, by resource, in one query */
  readonly findUnfit: (resources: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** @returns the fault of a resource; undefined when it is corrected */
  readonly findUnmended: (aside: SetAside) => Promise<string | undefined>;
  readonly send: (message: AsideMessage) => Promise<void>;
  readonly resumes: ResumeHistory;
  readonly now: () => number;
  readonly log: Log;
}

/** When each resource resumed, and how often in a row it was set aside again; kept for the life of the process. */
export type ResumeHistory = Map<string, { atMs: number; count: number }>;

const CHECK_INTERVAL_MS = 2_000;
/** The message is repeated if it has not arrived by then: the feed may be behind. */
const SEND_AGAIN_MS = 60_000;
/** Each resume resets the resource for every account, so the delay grows while resumes do not last. */
const FIRST_REST_MS = 5_000;
const MAX_REST_MS = 10 * 60_000;
/** A resource that was healthy for this long starts at the first delay again. */
const FORGET_AFTER_MS = 60 * 60_000;
/** A reminder is an event for every account, so one serves all exports of this interval. */
const REMIND_INTERVAL_MS = 5 * 60_000;

/**
 * Checks until the signal aborts whether set-aside resources are corrected, and writes a message to the WAL for each
 * that is. When capture reads that message, the resource resumes from there. A failed check is retried.
 */
export async function watchSetAsides(watch: SetAsideWatch, signal: AbortSignal): Promise<void> {
  const sentAtMs = new Map<string, number>();
  const remindedAtMs = new Map<string, number>();
  let unsent = watch.refused;
  while (!signal.aborted) {
    try {
      const known = new Set(watch.asides().map(({ resource }) => resource));
      for (const resource of unsent) if (!known.has(resource)) await watch.send({ resource, news: 'refuse' });
      unsent = [];
    } catch (error) {
      if (!signal.aborted) watch.log.warn('resource.not_refused', { resources: unsent, error });
    }
    await sleep(CHECK_INTERVAL_MS, signal);
    const asides = watch.asides();
    if (asides.length === 0) continue;
    let unfit: ReadonlyMap<string, string>;
    try {
      unfit = await watch.findUnfit(asides.map(({ resource }) => resource));
    } catch (error) {
      if (!signal.aborted) watch.log.warn('resource.not_checked', { error });
      continue;
    }
    for (const aside of asides) {
      if (signal.aborted) return;
      try {
        await check(aside, unfit.has(aside.resource), watch, sentAtMs, remindedAtMs);
      } catch (error) {
        if (!signal.aborted) watch.log.warn('resource.not_checked', { resource: aside.resource, error });
      }
    }
  }
}

async function check(
  aside: SetAside,
  isUnfit: boolean,
  { findUnmended, send, resumes, now }: SetAsideWatch,
  sentAtMs: Map<string, number>,
  remindedAtMs: Map<string, number>,
): Promise<void> {
  const { resource, isRemindDue } = aside;
  const place = `${resource}@${aside.commitLsn}/${aside.fromIndex}`;
  const nowMs = now();
  const lastResume = resumes.get(resource);
  const count = lastResume === undefined || nowMs - lastResume.atMs > FORGET_AFTER_MS ? 0 : lastResume.count;
  const restMs = count === 0 ? 0 : Math.min(FIRST_REST_MS * 2 ** (count - 1), MAX_REST_MS);
  const isResting = nowMs - (lastResume?.atMs ?? 0) < restMs;
  const isSent = nowMs - (sentAtMs.get(place) ?? Number.NEGATIVE_INFINITY) < SEND_AGAIN_MS;
  if (!isUnfit && !isResting && !isSent && (await findUnmended(aside)) === undefined) {
    await send({ resource, news: 'resume' });
    sentAtMs.set(place, now());
    resumes.set(resource, { atMs: now(), count: count + 1 });
    return;
  }
  const remindedMs = remindedAtMs.get(resource) ?? Number.NEGATIVE_INFINITY;
  if (isRemindDue && nowMs - remindedMs >= REMIND_INTERVAL_MS) {
    await send({ resource, news: 'remind' });
    remindedAtMs.set(resource, now());
  }
}

export interface MendDeps {
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly publicationName: string;
  readonly limitBytes: number;
  /** Why the accounts of the resource's records can't be found by their parents. */
  readonly whyUnknown?: ((resource: string) => string | undefined) | undefined;
}

/** The row's bytes are not text in the session's encoding. */
const ENCODING_SQLSTATES = ['22021', '22P05'];

/**
 * Why resources can't be published: their tables, or those on the path to their account, do not fit the catalog or are
 * not published. An insufficient replica identity is a reason only for a parent; for other tables a delete becomes a
 * reset.
 */
export async function findUnfit(
  names: readonly string[],
  { source, catalog, publicationName, whyUnknown }: Omit<MendDeps, 'limitBytes'>,
): Promise<ReadonlyMap<string, string>> {
  const asked = names.flatMap((name) => findResource(catalog, name) ?? []);
  const found = await checkCatalog(
    source,
    { ...catalog, resources: withAncestors(asked) },
    { publication: publicationName },
  );
  const findings = found.filter(({ code }) => code !== 'replica_identity');
  return new Map(
    asked.flatMap((resource) => {
      const own = [resource, ...ancestorsOf(resource)].map(({ name }) => name);
      const unfit = findings.find(({ resource: of }) => of !== undefined && own.includes(of));
      const reason = unfit === undefined ? whyUnknown?.(resource.name) : showFinding(unfit);
      return reason === undefined ? [] : [[resource.name, reason] as const];
    }),
  );
}

/**
 * Checks whether a set-aside resource can be published again: its table fits the catalog, and the faulty row can be
 * encoded or is gone. Another faulty row sets it aside again once that row changes.
 *
 * @returns the remaining fault; undefined when the resource is corrected
 */
export async function findUnmended(aside: SetAside, deps: MendDeps): Promise<string | undefined> {
  const resource = findResource(deps.catalog, aside.resource);
  if (resource === undefined) return 'the catalog no longer has the resource';
  const unfit = (await findUnfit([resource.name], deps)).get(resource.name);
  if (unfit !== undefined) return unfit;
  if (aside.rowKey === null) return undefined;
  return findFlawedRow(resource, aside.rowKey, deps);
}

async function findFlawedRow(
  resource: Resource,
  rowKey: readonly string[],
  { source, catalog, limitBytes }: MendDeps,
): Promise<string | undefined> {
  try {
    const rowType = await describeRowType(source, resource, await loadTypes(source));
    const columns = rowType.columns.map(({ name }, at) => `${quoteIdent(name)} as v${at}`);
    const key = resource.key.map((name, at) => `${quoteIdent(name)} = $${at + 1}`);
    const { rows } = await source.query<Record<string, string | null>>(
      `select ${columns.join(', ')} from ${quoteTable(resource.table)} where ${key.join(' and ')}`,
      [...rowKey],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const codec = createChangeCodec(rowType, { namespace: `tandem.${catalog.name}` });
    const after = rowType.columns.map((_, at) => row[`v${at}`] ?? null);
    const source_ = { lsn: 0n, commitLsn: 0n, xid: 0n, index: 0, committedAtMicros: 0n, bulkJobId: null };
    const change = {
      op: 'insert' as const,
      account: '',
      resource: resource.name,
      before: null,
      after,
      unchanged: [],
      missing: [],
      source: source_,
    };
    const table = { encode: (each: typeof change) => codec.encode(each, 0), recordKey: () => rowKey.join() };
    for (const message of changeMessages(table, change, 1)) requireFits(message, limitBytes);
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    if (isRowFlaw(error)) return describeFlaw(error);
    if (!(error instanceof DatabaseError)) throw error;
    if (ENCODING_SQLSTATES.includes(error.code ?? ''))
      return `a value of the row is not text: ${error.message}`;
    // The key's type has changed: the row can't be queried any more, and the table fits.
    if (error.code?.startsWith('22') === true || error.code === '42883') return undefined;
    throw error;
  }
}
