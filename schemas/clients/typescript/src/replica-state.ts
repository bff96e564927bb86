/** What a replica knows about itself. It is written in the transactions that change the records. */
export interface ReplicaState {
  readonly version: 1;
  readonly resources: readonly string[];
  /** The load that readers see. 0: none yet. */
  readonly shown: number;
  /** The export that it began with, and the key of the requests that belong to it. */
  readonly exportId?: string | undefined;
  readonly attempt?: string | undefined;
  /** Where pulling continues. Absent until the first page after the export. */
  readonly cursor?: string | undefined;
  /** The greatest position of the events that were applied. */
  readonly position?: string | undefined;
  /** A check that compares the records: until it ends or its time is over, no event is applied. */
  readonly check?: { readonly id: string; readonly expiresAt: string } | undefined;
  /** A load that has begun. */
  readonly loading?: Loading | undefined;
  /** Resources whose changes the source cannot send, with the reason. */
  readonly stalled: Readonly<Record<string, string>>;
  readonly webhook?: Subscription | undefined;
  /** The day on which deleted records were last removed. */
  readonly prunedOn?: string | undefined;
}

export interface Loading {
  readonly load: number;
  /** Idempotency key of its export: a process that dies finds the same export again. */
  readonly attempt: string;
  readonly exportId?: string | undefined;
  /** Rows of each file that are stored. */
  readonly rows: Readonly<Record<string, number>>;
  readonly reason: string;
}

export interface Subscription {
  readonly id: string;
  readonly url: string;
  /** The newest first. */
  readonly secrets: readonly string[];
  /** The export that it follows. */
  readonly exportId: string;
}

/** The state of a replica that is to be loaded: as it was, with a new load begun. */
export function beginLoad(
  state: ReplicaState | undefined,
  resources: readonly string[],
  reason: string,
): ReplicaState {
  const last = Math.max(state?.shown ?? 0, state?.loading?.load ?? 0);
  const loading: Loading = { load: last + 1, attempt: crypto.randomUUID(), rows: {}, reason };
  return { version: 1, shown: 0, ...state, resources, loading, stalled: {} };
}

/** The state after the load's last row. What belongs to the former export ends with it, except the subscription. */
export function endLoad(state: ReplicaState, loading: Loading): ReplicaState {
  const { version, resources, webhook, prunedOn } = state;
  const { load: shown, exportId, attempt } = loading;
  return { version, resources, shown, exportId, attempt, stalled: {}, webhook, prunedOn };
}

/** Whether events must wait for a check, other than the one with this ID. */
export function isHeld({ check }: ReplicaState, except?: string): boolean {
  return check !== undefined && check.id !== except && Date.parse(check.expiresAt) > Date.now();
}

/** Whether it is this check that events wait for. */
export function isHeldBy(state: ReplicaState, id: string): boolean {
  return isHeld(state) && !isHeld(state, id);
}

/** Reasons after which the source sends no changes of the resource until `resource_resumed`: an export is of no use yet. */
const STALLS = new Set(['row_unencodable', 'table_unfit']);

/** The state after a `feed.reset` of one of the replica's resources. */
export function afterReset(state: ReplicaState, reason: string, resources: readonly string[]): ReplicaState {
  if (!STALLS.has(reason)) return beginLoad(state, state.resources, reason);
  const stalled = Object.fromEntries(resources.map((name) => [name, reason]));
  return { ...state, stalled: { ...state.stalled, ...stalled } };
}

/** @throws SyntaxError when the text is not a state of this release */
export function readState(text: string): ReplicaState {
  const state = JSON.parse(text) as ReplicaState;
  if (state.version !== 1) throw new SyntaxError('The replica was written by a newer release of the client.');
  return state;
}
