/** Records of one request. Reused once the request was sent. */
export interface Batch<T> {
  readonly byteCount: number;
  add(record: T): void;
  reset(): void;
}

/**
 * Collects records into batches and sends them one after the other, in order: a batch is sent once the last one is
 * acknowledged. While one is in flight the next fills up; when it is full too, the source of records pauses. So memory
 * holds two batches.
 */
export interface BatchSender<T> {
  /** @throws the error of an earlier batch */
  add(record: T): void;
  /** Sends the rest and resolves once everything is acknowledged. @throws the error of sending */
  finish(): Promise<void>;
}

export interface BatchSenderOptions<T, B extends Batch<T>> {
  readonly maxBytes: number;
  openBatch(): B;
  /** The batch is not touched until this has settled. */
  send(batch: B): Promise<void>;
  /** Called when the source of records has to pause, and when it may continue. */
  onFull(): void;
  onDrained(): void;
  /** Called once when sending fails, after which nothing is sent. */
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
