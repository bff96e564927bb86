import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { yieldToMeasured } from './fork-apart.ts';

/** What a receiver does with each request, by the path that it is asked at. `hang` answers nothing at all. */
const ATTACKS = {
  hang: undefined,
  interim: { head: '', again: 'HTTP/1.1 103 Early Hints\r\n\r\n' },
  headers: { head: 'HTTP/1.1 200 OK\r\n', again: 'a: b\r\n' },
  extension: { head: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;', again: 'x' },
} as const;

export type Attack = keyof typeof ATTACKS;

export interface ReceiverPorts {
  readonly hostile: number;
  readonly answering: number;
}

yieldToMeasured();

/** Poured out at once, so that the attacker is never the slower side. */
const TIMES = 1_000;

const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', (chunk) => {
    const [, name = 'hang'] = /^POST \/(\w+)/.exec(chunk.toString('latin1')) ?? [];
    const attack = ATTACKS[name as Attack];
    if (attack !== undefined) pour(socket, attack.head, attack.again.repeat(TIMES));
  });
});
/** What a receiver costs that does as it should. */
const answering = createHttpServer((request, response) => {
  request.resume().on('end', () => response.writeHead(204).end());
});

const listen = async (each: Server): Promise<number> => {
  each.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  await once(each, 'listening');
  return (each.address() as AddressInfo).port;
};
const ports: ReceiverPorts = { hostile: await listen(server), answering: await listen(answering) };
process.send?.(ports);

function pour(socket: Socket, head: string, text: string): void {
  socket.write(head);
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}
