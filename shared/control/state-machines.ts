/**
 * The states of everything in the control store that has states, and the events that change them: the contract between
 * the services that share those rows. A table is total: it lists each event for each state, with `null` where it does
 * not apply. Tests run with triggers that refuse every other change (`test/support/guard-transitions.ts`), so a
 * statement that violates the table fails there.
 */
export type StateMachine<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Record<Event, State | null>>>
>;

/** `exports.status`. */
export type ExportStatus =
  | 'pending'
  | 'running'
  | 'paused'
  | 'cancelling'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'expired';

/**
 * - `claim`: an extractor starts a run, the first or another after a lost one.
 * - `pause`, `resume`: by the customer. It waits for its turn again.
 * - `complete`: a writer publishes the files.
 * - `fail`: a run, a chunk or the assembly can't succeed, a pause was not ended in time, or the control store was restored from
 *   before its end.
 * - `cancel`: the customer cancels it. Running work is asked to stop.
 * - `let_go`: nobody works any longer on an export that is to be cancelled.
 * - `expire`: its files are due for removal.
 */
export type ExportEvent = 'claim' | 'pause' | 'resume' | 'complete' | 'fail' | 'cancel' | 'let_go' | 'expire';

const EXPORT_OVER = {
  claim: null,
  pause: null,
  resume: null,
  complete: null,
  fail: null,
  cancel: null,
  let_go: null,
  expire: null,
};

const EXPORT_STATUS: StateMachine<ExportStatus, ExportEvent> = {
  pending: { ...EXPORT_OVER, claim: 'running', pause: 'paused', fail: 'failed', cancel: 'cancelled' },
  running: {
    ...EXPORT_OVER,
    claim: 'running',
    pause: 'paused',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelling',
  },
  paused: { ...EXPORT_OVER, pause: 'paused', resume: 'pending', fail: 'failed', cancel: 'cancelled' },
  cancelling: { ...EXPORT_OVER, cancel: 'cancelling', let_go: 'cancelled' },
  completed: { ...EXPORT_OVER, expire: 'expired' },
  failed: EXPORT_OVER,
  cancelled: EXPORT_OVER,
  expired: EXPORT_OVER,
};

/** `exports.phase`: how far a run has come, as the customer sees it. */
export type ExportPhase = 'queued' | 'waiting_for_feed' | 'extracting' | 'assembling' | 'done';

/**
 * - `start_run`: an extractor claims the export; a run after a lost one begins at the beginning.
 * - `put_back`: the customer pauses it, and it is in no run.
 * - `take_snapshot`: the snapshot and its seal stand.
 * - `assemble`: the extractor has read and sealed everything, or a writer starts to assemble.
 * - `end`: completed, failed or cancelled.
 */
export type ExportStep = 'start_run' | 'put_back' | 'take_snapshot' | 'assemble' | 'end';

const EXPORT_PHASE: StateMachine<ExportPhase, ExportStep> = {
  queued: {
    start_run: 'waiting_for_feed',
    put_back: 'queued',
    take_snapshot: null,
    assemble: null,
    end: 'done',
  },
  waiting_for_feed: {
    start_run: 'waiting_for_feed',
    put_back: 'queued',
    take_snapshot: 'extracting',
    assemble: null,
    end: 'done',
  },
  extracting: {
    start_run: 'waiting_for_feed',
    put_back: 'queued',
    take_snapshot: null,
    assemble: 'assembling',
    end: 'done',
  },
  assembling: {
    start_run: 'waiting_for_feed',
    put_back: null,
    take_snapshot: null,
    assemble: 'assembling',
    end: 'done',
  },
  done: { start_run: null, put_back: null, take_snapshot: null, assemble: null, end: null },
};

/** `export_chunks.state`. */
export type ExportChunkState = 'planned' | 'reading' | 'extracted';

/**
 * - `claim`: a reader takes the chunk, also over from one whose lease ended.
 * - `release`: the attempt failed, and another follows.
 * - `finish`: all rows are in the topic. What the writer adds (`rows_written`) is no state.
 */
export type ExportChunkEvent = 'claim' | 'release' | 'finish';

const EXPORT_CHUNK_STATE: StateMachine<ExportChunkState, ExportChunkEvent> = {
  planned: { claim: 'reading', release: null, finish: null },
  reading: { claim: 'reading', release: 'planned', finish: 'extracted' },
  extracted: { claim: null, release: null, finish: null },
};

/** `bulk_jobs.status`. */
export type BulkJobStatus = 'pending' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled';

/**
 * - `start`: its items are listed, and workers may claim chunks.
 * - `pause`: by the customer, for want of quota, for a handler that is away, or for a feed that is too far behind.
 * - `resume`: the reason is over. A job that was paused before it started waits for its turn again (`requeue`).
 * - `complete`, `fail`, `cancel`: it has come to its end, and no chunk of it is worked on.
 */
export type BulkJobEvent = 'start' | 'pause' | 'resume' | 'requeue' | 'complete' | 'fail' | 'cancel';

const BULK_END = { complete: 'completed', fail: 'failed', cancel: 'cancelled' } as const;
const BULK_OVER = {
  start: null,
  pause: null,
  resume: null,
  requeue: null,
  complete: null,
  fail: null,
  cancel: null,
};

const BULK_JOB_STATUS: StateMachine<BulkJobStatus, BulkJobEvent> = {
  pending: { ...BULK_OVER, ...BULK_END, start: 'running', pause: 'paused' },
  running: { ...BULK_OVER, ...BULK_END, pause: 'paused' },
  paused: { ...BULK_OVER, ...BULK_END, pause: 'paused', resume: 'running', requeue: 'pending' },
  completed: BULK_OVER,
  failed: BULK_OVER,
  cancelled: BULK_OVER,
};

/** `bulk_chunks.state`. */
export type BulkChunkState = 'waiting' | 'working' | 'done';

/**
 * - `claim`: a worker takes the chunk, also over from one whose lease ended.
 * - `release`: items are left for another attempt.
 * - `finish`: every item has its result.
 */
export type BulkChunkEvent = 'claim' | 'release' | 'finish';

const BULK_CHUNK_STATE: StateMachine<BulkChunkState, BulkChunkEvent> = {
  waiting: { claim: 'working', release: 'waiting', finish: 'done' },
  working: { claim: 'working', release: 'waiting', finish: 'done' },
  done: { claim: null, release: null, finish: null },
};

/** `webhooks.status`. */
export type WebhookStatus = 'active' | 'paused' | 'disabled';

/**
 * - `pause`, `resume`: by the customer. Resuming also brings back what was disabled.
 * - `disable`: the receiver failed for too long, or missed events that are no longer kept.
 */
export type WebhookEvent = 'pause' | 'resume' | 'disable';

const WEBHOOK_STATUS: StateMachine<WebhookStatus, WebhookEvent> = {
  active: { pause: 'paused', resume: 'active', disable: 'disabled' },
  paused: { pause: 'paused', resume: 'active', disable: 'disabled' },
  disabled: { pause: 'disabled', resume: 'active', disable: 'disabled' },
};

/** `webhook_parked.state`: a delivery that failed. */
export type FailedDeliveryState = 'waiting' | 'dead';

/** `give_up`: its retries are used up. `redeliver`: the customer asks for it again. `retry`: another attempt failed. */
export type FailedDeliveryEvent = 'retry' | 'give_up' | 'redeliver';

const FAILED_DELIVERY_STATE: StateMachine<FailedDeliveryState, FailedDeliveryEvent> = {
  waiting: { retry: 'waiting', give_up: 'dead', redeliver: 'waiting' },
  dead: { retry: null, give_up: null, redeliver: 'waiting' },
};

/** Where each machine's states are kept, and the state that a new row has. */
export const STATE_COLUMNS = [
  { table: 'exports', column: 'status', machine: EXPORT_STATUS, initial: ['pending'] },
  { table: 'exports', column: 'phase', machine: EXPORT_PHASE, initial: ['queued'] },
  { table: 'export_chunks', column: 'state', machine: EXPORT_CHUNK_STATE, initial: ['planned'] },
  {
    table: 'bulk_jobs',
    column: 'status',
    machine: BULK_JOB_STATUS,
    initial: ['pending', 'running', 'completed'],
  },
  { table: 'bulk_chunks', column: 'state', machine: BULK_CHUNK_STATE, initial: ['waiting', 'working'] },
  { table: 'webhooks', column: 'status', machine: WEBHOOK_STATUS, initial: ['active', 'disabled'] },
  { table: 'webhook_parked', column: 'state', machine: FAILED_DELIVERY_STATE, initial: ['waiting', 'dead'] },
] as const;

/** Whether an event leads from one state to the other. */
export function mayMove(machine: StateMachine<string, string>, from: string, to: string): boolean {
  return Object.values(machine[from] ?? {}).includes(to);
}
