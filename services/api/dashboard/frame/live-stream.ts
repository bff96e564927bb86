import { Readable } from 'node:stream';

/** A response of server-sent events. */
export interface LiveStream {
  readonly body: Readable;
  /**
   * `state`: a change. `stale`: the present state is unknown. `beat`: no change. A client that does not read is
   * dropped.
   */
  send(event: 'state' | 'stale' | 'beat', data?: unknown, id?: string): void;
  /** Ends the stream, with a last event if given. `over`: the page has to be reloaded, which shows the reason. */
  end(event?: 'over'): void;
  /** Time since something was sent. */
  quietMs(): number;
  /** Calls the listener when the stream has ended or its client has left, at once if it already has. */
  onClose(listener: () => void): void;
}

/**
 * Limit of unsent bytes besides the socket's buffers. A state has a few kB, and a reading client takes each before the
 * next.
 */
const MAX_WAITING_BYTES = 256 * 1_024;

/**
 * Reconnect delay after a broken stream, plus a random delay of up to the same length, so that not all reconnect at
 * once.
 */
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
    // A browser drops an event without data.
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
