import { type AddressInfo, createServer, type Socket } from 'node:net';

/**
 * Takes webhooks with as little work as can be, so that the sender is measured: just enough of HTTP for requests with a
 * length, and no check of signatures. Arrivals are noted when a request is there as a whole; both lists are in the order of arrival.
 */
export interface BenchReceiver extends AsyncDisposable {
  readonly url: string;
  readonly receivedMs: readonly number[];
  /** When the source committed the change, by the event's own timestamp. */
  readonly committedMs: readonly number[];
  /** Since it was opened, with those that are not measured. */
  readonly requestCount: number;
  reset(): void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const ANSWER = 'HTTP/1.1 204 No Content\r\n\r\n';

/** @param isMeasured by default every request is */
export async function openBenchReceiver(
  isMeasured: (body: Buffer) => boolean = () => true,
): Promise<BenchReceiver> {
  let requestCount = 0;
  let receivedMs: number[] = [];
  let committedMs: number[] = [];
  const sockets = new Set<Socket>();
  const onBody = (body: Buffer) => {
    requestCount += 1;
    if (!isMeasured(body)) return;
    receivedMs.push(performance.timeOrigin + performance.now());
    committedMs.push(readTimestampMs(body));
  };
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (let end = requestEnd(rest); end !== undefined; end = requestEnd(rest)) {
        onBody(rest.subarray(rest.indexOf(HEAD_END) + HEAD_END.length, end));
        rest = rest.subarray(end);
        socket.write(ANSWER);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get receivedMs() {
      return receivedMs;
    },
    get committedMs() {
      return committedMs;
    },
    get requestCount() {
      return requestCount;
    },
    reset() {
      receivedMs = [];
      committedMs = [];
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Where the first request ends, or undefined while it is not there as a whole. */
function requestEnd(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const [, length = '0'] = /content-length: (\d+)/i.exec(bytes.toString('latin1', 0, headEnd)) ?? [];
  const end = headEnd + HEAD_END.length + Number(length);
  return end <= bytes.length ? end : undefined;
}

/** The envelope begins with the ID, the type and the timestamp. */
const ENVELOPE_HEAD_BYTES = 300;

/** `Date.parse` drops the microseconds. */
function readTimestampMs(body: Buffer): number {
  const head = body.toString('latin1', 0, ENVELOPE_HEAD_BYTES);
  const [, seconds = '', micros = '0'] = /"timestamp":"([^"]+)\.(\d+)Z"/.exec(head) ?? [];
  return Date.parse(`${seconds}Z`) + Number(micros) / 1_000;
}
