import type { ChangeMessage } from './change-messages.ts';

/** A change that the topic does not take: its resource is set aside. */
export class ChangeTooLargeError extends Error {
  override readonly name = 'ChangeTooLargeError';

  constructor(bytes: number, limitBytes: number) {
    super(
      `the change has ${bytes} bytes, and the changes topic takes ${limitBytes}: raise its max.message.bytes above that, and ` +
        "the brokers' replica.fetch.max.bytes with it, then restart capture; or make the row smaller, or hide its largest column",
    );
  }
}

/** Room for a record's headers, and for the state and the record batch's own header. */
const RECORD_OVERHEAD_BYTES = 150;
const REQUEST_OVERHEAD_BYTES = 1_000;

/** What changes of one request may take, of the topic's `max.message.bytes`. */
export function requestLimitBytes(maxMessageBytes: number): number {
  return maxMessageBytes - REQUEST_OVERHEAD_BYTES;
}

export function changeBytes({ key, value }: Pick<ChangeMessage, 'key' | 'value'>): number {
  return value.length + Buffer.byteLength(key) * 2 + RECORD_OVERHEAD_BYTES;
}

/** @throws ChangeTooLargeError for a change that would not go into a request of its own */
export function requireFits(message: Pick<ChangeMessage, 'key' | 'value'>, limitBytes: number): void {
  const bytes = changeBytes(message);
  if (bytes > limitBytes) throw new ChangeTooLargeError(bytes, limitBytes);
}
