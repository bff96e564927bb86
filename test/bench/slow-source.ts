import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface SlowSource extends AsyncDisposable {
  /** The source's URL by way of here. */
  readonly url: string;
}

/** Stands before a PostgreSQL server and lets each session have so many bytes a second of it, as a slow disk or network would. */
export async function openSlowSource(sourceUrl: string, bytesPerSecond: number): Promise<SlowSource> {
  const target = new URL(sourceUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', async (piece: Buffer) => {
      upstream.pause();
      client.write(piece);
      await delay((1000 * piece.length) / bytesPerSecond);
      upstream.resume();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = new URL(sourceUrl);
  url.hostname = '127.0.0.1';
  url.port = String(typeof address === 'object' ? address?.port : '');
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
