/**
 * Gathers messages into batches and sends them one after the other, which keeps their order: a batch is never on its way
 * before the one ahead of it is acknowledged. While one is on its way the next fills up; when that is full too, the source
 * of messages is asked to pause. So at most two batches are in memory.
 */
export interface BatchSender<T> {
  /** Takes a message of about `bytes`. @throws what sending an earlier batch threw */
  add(message: T, bytes: number): void;
  /** Sends what is left and resolves once everything is acknowledged. @throws what sending threw */
  finish(): Promise<void>;
}

export interface BatchSenderOptions<T> {
  readonly maxBytes: number;
  send(messages: readonly T[]): Promise<void>;
  /** Called when the source of messages is to pause, and when it may go on. */
  onFull(): void;
  onRoom(): void;
  /** Called once when sending failed. Nothing more is sent. */
  onFailure(error: unknown): void;
}

export function createBatchSender<T>(options: BatchSenderOptions<T>): BatchSender<T> {
  const { maxBytes, send, onFull, onRoom, onFailure } = options;
  let batch: T[] = [];
  let batchBytes = 0;
  let sending: Promise<void> | undefined;
  let isPaused = false;
  let failure: { error: unknown } | undefined;

  function start(): void {
    const messages = batch;
    batch = [];
    batchBytes = 0;
    sending = send(messages).then(finished, (error: unknown) => {
      failure = { error };
      onFailure(error);
    });
  }

  function finished(): void {
    sending = undefined;
    if (batchBytes >= maxBytes) start();
    if (!isPaused) return;
    isPaused = false;
    onRoom();
  }

  return {
    add(message, bytes) {
      if (failure !== undefined) throw failure.error;
      batch.push(message);
      batchBytes += bytes;
      if (batchBytes < maxBytes) return;
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
        } else if (batch.length > 0) {
          start();
        } else {
          return;
        }
      }
    },
  };
}
