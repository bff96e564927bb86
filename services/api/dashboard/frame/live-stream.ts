import { Readable } from 'node:stream';

/** A response of server-sent events. */
export interface LiveStream {
  readonly body: Readable;
  /**
   * `state`: what has changed. `stale`: it cannot be told at present. `beat`: nothing has changed. A client that does not
   * read is dropped.
   */
  send(event: 'state' | 'stale' | 'beat', data?: unknown, id?: string): void;
  /** The last event, where there is one. `over`: the page is to be loaded again, and says why. */
  end(event?: 'over'): void;
  /** Since something was sent. */
  quietMs(): number;
  /** Calls once it has ended or its client has left: at once if it has already. */
  onClose(listener: () => void): void;
}

/** Beyond what the sockets hold. A state has some kB, and one who reads takes each before the next. */
const MAX_WAITING_BYTES = 256 * 1_024;

/** A stream that breaks off is opened again after this time and up to as much more: not all at once. */
const RETRY_MS = 2_000;

export function createLiveStream(): LiveStream {
  const body = new Readable({ read: () => undefined });
  const listeners: (() => void)[] = [];
  let sentAtMs = performance.now();
  let isOpen = true;
  body.once('close', close);
  body.push(`retry: ${Math.round(RETRY_MS * (1 + Math.random()))}\n\n`);

  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    for (const listener of listeners) listener();
  }

  function write(event: string, data: unknown, id: string | undefined): void {
    if (!isOpen) return;
    sentAtMs = performance.now();
    // Without data a browser drops the event.
    const lines = [`event: ${event}`, ...(id === undefined ? [] : [`id: ${id}`])];
    body.push(`${lines.join('\n')}\ndata: ${JSON.stringify(data)}\n\n`);
    if (body.readableLength > MAX_WAITING_BYTES) body.destroy();
  }

  return {
    body,
    send: (event, data = null, id) => write(event, data, id),
    end(event) {
      if (event !== undefined) write(event, null, undefined);
      if (isOpen) body.push(null);
      close();
    },
    quietMs: () => performance.now() - sentAtMs,
    onClose(listener) {
      if (isOpen) listeners.push(listener);
      else listener();
    },
  };
}
