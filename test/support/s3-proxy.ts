import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of a request: it is passed on, passed on and its answer lost, or answered here with one of these errors. */
export type Fate = 'pass' | 'lose answer' | keyof typeof ANSWERS;

const ANSWERS = {
  SlowDown: 503,
  InternalError: 500,
  AccessDenied: 403,
  XMinioStorageFull: 507,
  NoSuchUpload: 404,
  NoSuchBucket: 404,
} as const;

export interface S3Proxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Decides over each request. */
  fateOf: (method: string, url: string) => Fate;
}

/** Stands before an S3 server and does to requests what networks and busy servers do. */
export async function openS3Proxy(target: string): Promise<S3Proxy> {
  const proxy: { fateOf: S3Proxy['fateOf'] } = { fateOf: () => 'pass' };
  const server = createServer((incoming, response) => {
    const fate = proxy.fateOf(incoming.method ?? '', incoming.url ?? '');
    if (fate !== 'pass' && fate !== 'lose answer') {
      incoming.resume();
      response
        .writeHead(ANSWERS[fate], { 'content-type': 'application/xml' })
        .end(`<Error><Code>${fate}</Code><Message>As the test wants it.</Message></Error>`);
      return;
    }
    // The host that the client signed for stays in the headers.
    const passed = request(target, {
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
    });
    incoming.pipe(passed);
    passed.on('error', () => incoming.socket.destroy());
    passed.on('response', (answer: IncomingMessage) => {
      if (fate === 'lose answer') {
        answer.resume();
        answer.on('end', () => incoming.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(proxy, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  });
}
