import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can fall silent as a network does: nothing comes through any more, and nobody is told. */
export interface SilentProxy extends AsyncDisposable {
  readonly port: number;
  /** The connections that are open now stay open and carry nothing. Later ones work. */
  silence(): void;
  /** What clients send on the connections that are open now is held back; they still hear the server. Later ones work. */
  holdBack(): void;
  /** What the server sends on the connections that are open now is held back; it still hears its clients. Later ones work. */
  loseAnswers(): void;
  /** How many bytes clients have sent. */
  readonly sentBytes: number;
  /** Of what the server sends so many bytes come through on each later connection, and then no more. Undefined: all. */
  allow(bytes: number | undefined): void;
  /** Cuts the connections that are open, with a reset. Later ones go to `port`, when one is given. */
  cut(port?: number): void;
}

export async function openSilentProxy(host: string, port: number): Promise<SilentProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const sockets = new Set<Socket>();
  let target = port;
  let allowed: number | undefined;
  let sentBytes = 0;
  const server = createServer((near) => {
    const far = connect(target, host);
    pairs.add([near, far]);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        // As on a real way, an end at one side is one at the other.
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    near.on('data', (data) => {
      sentBytes += data.length;
    });
    const limit = allowed;
    if (limit === undefined) far.pipe(near);
    else
      far.on('data', (data) => {
        near.write(data);
        if (far.bytesRead >= limit) far.pause();
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    silence() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
      pairs.clear();
    },
    holdBack() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        near.pause();
      }
    },
    loseAnswers() {
      for (const [near, far] of pairs) {
        far.unpipe(near);
        far.pause();
      }
    },
    get sentBytes() {
      return sentBytes;
    },
    allow(bytes) {
      allowed = bytes;
    },
    cut(newPort) {
      target = newPort ?? target;
      for (const socket of sockets) socket.resetAndDestroy();
      pairs.clear();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
