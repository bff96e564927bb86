import type { RawEvent } from './apply-event.ts';
import type { Tandem } from './client.ts';
import { NotFoundError, ReplicaError } from './errors.ts';
import { linesOf, verified } from './file-stream.ts';
import { digestOwn, type OwnDigests } from './replica-digests.ts';
import { type Hold, holdEvents, requireLoaded } from './replica-hold.ts';
import type { Change } from './replica-load.ts';
import { pullTo } from './replica-pull.ts';
import type { ReplicaState } from './replica-state.ts';
import { sleep } from './retry.ts';
import type { Export, ExportFile } from './types.ts';

/** How the check of a replica goes on. */
export interface CheckProgress {
  /** `position`: waits for the cut. `replica`: digests its own records. `source`: waits for the export. */
  readonly phase: 'position' | 'replica' | 'source';
  readonly export: Export;
  /** Own records that have been digested. */
  readonly rows: number;
}

export interface CheckOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
}

/** A record that is not as in the source. */
export interface RecordDifference {
  /** The key columns as a JSON object. */
  readonly key: string;
  readonly kind: 'missing' | 'extra' | 'changed';
}

export interface CountAndDigest {
  readonly rows: number;
  readonly digest: string;
}

export interface ResourceCheck {
  readonly resource: string;
  readonly isEqual: boolean;
  readonly source: CountAndDigest;
  readonly replica: CountAndDigest;
  /** Buckets that differ. */
  readonly buckets: readonly number[];
  /** Records that differ, at a later position than the digests: one that was changed meanwhile is equal again. */
  readonly differences: readonly RecordDifference[];
  /** Whether every bucket that differs was looked through, and every difference is listed. */
  readonly isComplete: boolean;
}

export interface ReplicaCheck {
  /** Whether every resource that was compared is equal. */
  readonly isEqual: boolean;
  readonly exportId: string;
  /** Time of the state that was compared. */
  readonly asOf: string;
  /** Every event with a smaller position is in that state, and no other. */
  readonly position: string;
  readonly resources: readonly ResourceCheck[];
  /** Resources that cannot be compared, with the reason. */
  readonly unchecked: Readonly<Record<string, string>>;
}

/** What a check needs of its replica. */
export interface Checked {
  readonly client: Tandem;
  readonly change: Change;
  /** Applies events, with the cursor behind them. @throws ReplicaError when the hold is over, or a new export is needed */
  readonly apply: (events: readonly RawEvent[], cursor: string, holdId: string) => Promise<void>;
}

/** Longest time that events wait for the position: an export may have to wait in the queue of the account. */
const MAX_POSITION_MS = 120_000;
const PAST_UNKNOWN =
  'Past states of its records are not recorded: ask the operator to set as_of: true for it in the catalog, ' +
  'unless they have the account of another resource.';
const FIRST_POLL_MS = 100;
const MAX_POLL_MS = 1_000;
/** The replica may be ahead of the clock of the API. */
const MAX_ATTEMPTS = 5;
const AGAIN_MS = 1_000;
/** Records whose digests are held in memory to find those that differ. */
const MAX_LISTED = 100_000;
const MAX_DIFFERENCES = 1_000;

interface Compared {
  readonly exported: Export;
  readonly position: string;
  readonly own: ReadonlyMap<string, OwnDigests>;
}

/** Compares the replica with the source at a position, and finds the records that differ. */
export async function checkReplica(checked: Checked, options: CheckOptions): Promise<ReplicaCheck> {
  const { client, change } = checked;
  const state = requireLoaded(await change((_, now) => now));
  const { possible, unchecked } = await splitResources(client, state, options.signal);
  if (possible.length === 0) {
    const reasons = Object.entries(unchecked).map(([name, reason]) => `${name}: ${reason}`);
    throw new ReplicaError(`No resource can be compared. ${reasons.join(' ')}`);
  }
  const compared = await compareAt(checked, possible, null, options);
  const { exported, position, own } = compared;
  const resources: ResourceCheck[] = [];
  for (const file of exported.files) {
    const mine = own.get(file.resource ?? '');
    if (file.resource === null || mine === undefined) continue;
    resources.push(await compareResource(checked, exported, file, mine, options));
  }
  return {
    isEqual: resources.every(({ isEqual }) => isEqual),
    exportId: exported.id,
    asOf: exported.as_of ?? '',
    position,
    resources,
    unchecked,
  };
}

async function splitResources(
  client: Tandem,
  { resources, stalled }: ReplicaState,
  signal: AbortSignal | undefined,
) {
  const pasts = new Map<string, boolean>();
  for await (const { name, exports } of client.resources.list({}, { signal })) pasts.set(name, exports.as_of);
  const unchecked: Record<string, string> = {};
  for (const name of resources) {
    const reason = stalled[name];
    if (reason !== undefined) unchecked[name] = `Its changes are not sent at present (${reason}).`;
    else if (pasts.get(name) !== true) unchecked[name] = PAST_UNKNOWN;
  }
  return { possible: resources.filter((name) => unchecked[name] === undefined), unchecked };
}

async function compareResource(
  checked: Checked,
  exported: Export,
  file: ExportFile & { resource: string | null },
  own: OwnDigests,
  options: CheckOptions,
): Promise<ResourceCheck> {
  const resource = file.resource ?? '';
  const source = { rows: file.rows, digest: file.digest ?? '' };
  const replica = { rows: own.total.rows, digest: own.total.digest };
  const found = { resource, source, replica };
  if (source.rows === replica.rows && source.digest === replica.digest)
    return { ...found, isEqual: true, buckets: [], differences: [], isComplete: true };
  const buckets: { bucket: number; rows: number }[] = [];
  for await (const line of fileLines(checked.client, exported, file, options.signal)) {
    const { bucket, rows, digest } = JSON.parse(line) as { bucket: number; rows: number; digest: string };
    const mine = own.buckets[bucket];
    if (mine !== undefined && (mine.rows !== rows || mine.digest !== digest))
      buckets.push({ bucket, rows: Math.max(rows, mine.rows) });
  }
  const looked = withinLimit(buckets);
  const { differences, isComplete } = await findDifferences(checked, resource, looked, options);
  return {
    ...found,
    isEqual: false,
    buckets: buckets.map(({ bucket }) => bucket),
    differences,
    isComplete: isComplete && looked.length === buckets.length,
  };
}

/** Buckets whose records fit in memory together; one at least. */
function withinLimit(buckets: readonly { readonly bucket: number; readonly rows: number }[]): number[] {
  let rows = 0;
  return buckets
    .filter((each, index) => {
      rows += each.rows;
      return index === 0 || rows <= MAX_LISTED;
    })
    .map(({ bucket }) => bucket);
}

/** Lists the records of some buckets on both sides, at a new position. */
async function findDifferences(
  checked: Checked,
  resource: string,
  buckets: readonly number[],
  options: CheckOptions,
): Promise<{ differences: RecordDifference[]; isComplete: boolean }> {
  const { exported, own } = await compareAt(checked, [resource], buckets, options);
  const left = own.get(resource)?.listed ?? new Map<string, string>();
  const differences: RecordDifference[] = [];
  let count = 0;
  const add = (difference: RecordDifference) => {
    count += 1;
    if (count <= MAX_DIFFERENCES) differences.push(difference);
  };
  for (const file of exported.files) {
    for await (const line of fileLines(checked.client, exported, file, options.signal)) {
      const [key, digest] = keyAndDigest(line);
      const mine = left.get(key);
      left.delete(key);
      if (mine === undefined) add({ key, kind: 'missing' });
      else if (mine !== digest) add({ key, kind: 'changed' });
    }
  }
  for (const key of left.keys()) add({ key, kind: 'extra' });
  return { differences, isComplete: count <= MAX_DIFFERENCES };
}

/** Of `{"bucket":7,"key":{…},"digest":"…"}`: the key stays the text that it is. */
function keyAndDigest(line: string): [key: string, digest: string] {
  const start = line.indexOf('"key":') + '"key":'.length;
  const end = line.lastIndexOf(',"digest":"');
  return [line.slice(start, end), line.slice(end + ',"digest":"'.length, -2)];
}

function fileLines(client: Tandem, exported: Export, file: ExportFile, signal: AbortSignal | undefined) {
  return linesOf(verified(file, client.exports.read(exported.id, file, { signal })));
}

/** Digests both sides at one position: the export in the source, and the own records while no event is applied. */
async function compareAt(
  checked: Checked,
  resources: readonly string[],
  buckets: readonly number[] | null,
  options: CheckOptions,
): Promise<Compared> {
  const { signal, onProgress } = options;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const found = await digestAt(checked, resources, buckets, options);
    if (found !== undefined) {
      const { exported, rows } = found;
      const onSource = (job: Export) => onProgress?.({ phase: 'source', export: job, rows });
      const completed = await checked.client.exports.wait(exported.id, { signal, onProgress: onSource });
      return { ...found, exported: completed };
    }
    await sleep(AGAIN_MS * attempt, signal);
  }
  throw new ReplicaError('The clock of the API is behind that of the source: try again later.');
}

/** Begins an export, and digests the own records at its position. @returns undefined when the replica is past it */
async function digestAt(
  checked: Checked,
  resources: readonly string[],
  buckets: readonly number[] | null,
  options: CheckOptions,
): Promise<(Compared & { rows: number }) | undefined> {
  const hold = await holdEvents(checked.change, options.signal);
  try {
    return await digestHeld(checked, hold, resources, buckets, options);
  } finally {
    await hold.release();
  }
}

async function digestHeld(
  { client, change, apply }: Checked,
  hold: Hold,
  resources: readonly string[],
  buckets: readonly number[] | null,
  options: CheckOptions,
): Promise<(Compared & { rows: number }) | undefined> {
  const { signal, onProgress } = options;
  const created = await client.exports.create(
    { resources: [...resources], format: 'digest', ...(buckets === null ? {} : { buckets: [...buckets] }) },
    { idempotencyKey: `${hold.id}-digest`, signal },
  );
  let isWanted = false;
  try {
    const { exported, position } = await awaitPosition(client, created, hold, options);
    if (position < (await reachedPosition(client, hold.state, signal))) return undefined;
    const applyHeld = async (events: readonly RawEvent[], cursor: string) => {
      await apply(events, cursor, hold.id);
      await hold.renew();
    };
    await pullTo(client, hold.state, position, applyHeld, signal);
    const own = new Map<string, OwnDigests>();
    let rows = 0;
    for (const resource of resources) {
      const before = rows;
      own.set(
        resource,
        await digestOwn(change, hold, resource, buckets, (count) => {
          rows = before + count;
          onProgress?.({ phase: 'replica', export: exported, rows });
        }),
      );
    }
    isWanted = true;
    return { exported, position, own, rows };
  } finally {
    // It may have ended by itself, and an error that matters is thrown already.
    if (!isWanted) await client.exports.cancel(created.id).catch(() => undefined);
  }
}

async function awaitPosition(
  client: Tandem,
  created: Export,
  hold: Hold,
  { signal, onProgress }: CheckOptions,
): Promise<{ exported: Export; position: string }> {
  const startedAtMs = Date.now();
  for (let polls = 0; ; polls += 1) {
    const exported = await client.exports.get(created.id, { signal });
    onProgress?.({ phase: 'position', export: exported, rows: 0 });
    if (exported.cut !== null) return { exported, position: exported.cut.position };
    if (!['pending', 'running', 'paused'].includes(exported.status)) {
      // Throws what it ended with.
      await client.exports.wait(exported.id, { signal });
      throw new ReplicaError(`The export ${exported.id} has no position.`);
    }
    if (Date.now() - startedAtMs > MAX_POSITION_MS) {
      throw new ReplicaError(`The export ${exported.id} still ${whyWaits(exported)}: try again later.`);
    }
    await hold.renew();
    await sleep(Math.min(MAX_POLL_MS, FIRST_POLL_MS * (polls + 1)), signal);
  }
}

function whyWaits({ status }: Export): string {
  if (status === 'paused') return 'is paused';
  return status === 'pending' ? 'waits in the queue' : 'waits for the feed';
}

/**
 * Up to where the replica is for certain: the last event that it applied, and what the snapshot saw that it was loaded from.
 * Before that position it has been in no state that the source had.
 */
async function reachedPosition(
  client: Tandem,
  { position = '', exportId = '' }: ReplicaState,
  signal: AbortSignal | undefined,
): Promise<string> {
  const base = await client.exports.get(exportId, { signal }).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
  const [high = '0', low = '0'] = (base?.snapshot?.lsn ?? '0/0').toUpperCase().split('/');
  const seen = `${high.padStart(8, '0')}${low.padStart(8, '0')}-0000000000`;
  // An event at the position itself is not before it.
  const applied = position === '' ? '' : `${position}+`;
  return applied > seen ? applied : seen;
}
