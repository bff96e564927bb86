import { type AddressInfo, createServer, type Socket } from 'node:net';

/** What a receiver does with each request, by the path that it is asked at. `hang` answers nothing at all. */
const ATTACKS = {
  hang: undefined,
  interim: { head: '', again: 'HTTP/1.1 103 Early Hints\r\n\r\n' },
  headers: { head: 'HTTP/1.1 200 OK\r\n', again: 'a: b\r\n' },
  extension: { head: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;', again: 'x' },
} as const;

export type Attack = keyof typeof ATTACKS;

/** Poured out at once, so that the attacker is never the slower side. */
const TIMES = 1_000;

export interface HostileReceiver extends AsyncDisposable {
  urlOf(attack: Attack, name: string): string;
}

/** A receiver that harms who sends to it: it never answers, or answers without an end. */
export async function openHostileReceiver(): Promise<HostileReceiver> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.once('data', (chunk) => {
      const [, name = 'hang'] = /^POST \/(\w+)/.exec(chunk.toString('latin1')) ?? [];
      const attack = ATTACKS[name as Attack];
      if (attack !== undefined) pour(socket, attack.head, attack.again.repeat(TIMES));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (attack, name) => `http://127.0.0.1:${port}/${attack}/${name}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pour(socket: Socket, head: string, text: string): void {
  socket.write(head);
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}
