/** Records gathered for one request. Used again once it was sent. */
export interface Batch<T> {
  readonly byteCount: number;
  add(record: T): void;
  reset(): void;
}

/**
 * Gathers records into batches and sends them one after the other, which keeps their order: a batch is never on its way
 * before the one ahead of it is acknowledged. While one is on its way the next fills up; when that is full too, the source
 * of records is asked to pause. So two batches are all the memory it takes.
 */
export interface BatchSender<T> {
  /** @throws what sending an earlier batch threw */
  add(record: T): void;
  /** Sends what is left and resolves once everything is acknowledged. @throws what sending threw */
  finish(): Promise<void>;
}

export interface BatchSenderOptions<T, B extends Batch<T>> {
  readonly maxBytes: number;
  openBatch(): B;
  /** The batch is left alone until this has settled. */
  send(batch: B): Promise<void>;
  /** Called when the source of records is to pause, and when it may go on. */
  onFull(): void;
  onDrained(): void;
  /** Called once when sending failed. Nothing more is sent. */
  onFailure(error: unknown): void;
}

export function createBatchSender<T, B extends Batch<T>>(options: BatchSenderOptions<T, B>): BatchSender<T> {
  const { maxBytes, openBatch, send, onFull, onDrained, onFailure } = options;
  let batch = openBatch();
  let spare = openBatch();
  let sending: Promise<void> | undefined;
  let isPaused = false;
  let failure: { error: unknown } | undefined;

  function start(): void {
    const full = batch;
    batch = spare;
    spare = full;
    sending = send(full).then(finished, (error: unknown) => {
      failure = { error };
      onFailure(error);
    });
  }

  function finished(): void {
    spare.reset();
    sending = undefined;
    if (batch.byteCount >= maxBytes) start();
    if (!isPaused) return;
    isPaused = false;
    onDrained();
  }

  return {
    add(record) {
      if (failure !== undefined) throw failure.error;
      batch.add(record);
      if (batch.byteCount < maxBytes) return;
      if (sending === undefined) {
        start();
      } else if (!isPaused) {
        isPaused = true;
        onFull();
      }
    },
    async finish() {
      for (;;) {
        if (failure !== undefined) throw failure.error;
        if (sending !== undefined) {
          await sending;
        } else if (batch.byteCount > 0) {
          start();
        } else {
          return;
        }
      }
    },
  };
}
