import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can fall silent as a network does: nothing comes through any more, and nobody is told. */
export interface SilentProxy extends AsyncDisposable {
  readonly port: number;
  /** The connections that are open now stay open and carry nothing. Later ones work. */
  silence(): void;
}

export async function openSilentProxy(host: string, port: number): Promise<SilentProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, host);
    pairs.add([near, far]);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    near.pipe(far);
    far.pipe(near);
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
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
