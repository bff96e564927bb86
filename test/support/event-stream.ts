/** A server-sent event as a browser takes it apart. */
export interface ServerEvent {
  readonly event: string;
  readonly id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests read events freely.
  readonly data: any;
}

export interface EventStream extends Disposable {
  readonly status: number;
  readonly headers: Headers;
  /** The next event. @throws when the stream has ended */
  next(): Promise<ServerEvent>;
  /** All events until the server ends the stream. */
  rest(): Promise<ServerEvent[]>;
}

/** Opens a stream as a page of the dashboard does. */
export async function openEventStream(
  url: string,
  cookie: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<EventStream> {
  const leave = new AbortController();
  const response = await fetch(url, {
    headers: { accept: 'text/event-stream', cookie, ...headers },
    signal: leave.signal,
  });
  const events = eventsOf(response);
  return {
    status: response.status,
    headers: response.headers,
    async next() {
      const { done, value } = await events.next();
      if (done) throw new Error('the stream has ended');
      return value;
    },
    async rest() {
      const found = [];
      for await (const event of events) found.push(event);
      return found;
    },
    [Symbol.dispose]: () => leave.abort(),
  };
}

async function* eventsOf({ body }: Response): AsyncGenerator<ServerEvent, undefined> {
  let text = '';
  for await (const chunk of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const parts = `${text}${chunk}`.split('\n\n');
    text = parts.pop() ?? '';
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: (.*)/s, 2)));
      if (fields.data !== undefined) {
        yield { event: fields.event ?? 'message', id: fields.id, data: JSON.parse(fields.data) };
      }
    }
  }
}
