import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createNameResolver } from '../../../services/dispatcher/send/resolve-name.ts';

/** A name server that knows `ok.example`, says nothing of `silent…`, and knows no other name. */
async function openNameServer() {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, 12) + 5;
    const name = query.toString('latin1', 13, end - 5).replace(/[^a-z0-9]/g, '.');
    asked.push(name);
    if (name.startsWith('silent')) return;
    const isKnown = name === 'ok.example';
    const hasAddress = isKnown && query.readUInt16BE(end - 4) === 1;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(hasAddress ? 1 : 0, 6);
    head.writeUInt16BE(0, 8);
    head.writeUInt16BE(0, 10);
    const address = Buffer.from('c00c000100010000003c0004c0000201', 'hex');
    const parts = [head, query.subarray(12, end), ...(hasAddress ? [address] : [])];
    socket.send(Buffer.concat(parts), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { address: `127.0.0.1:${socket.address().port}`, asked, close: () => socket.close() };
}

test('names whose server is silent hold up no other name, and local names are still found', async () => {
  const server = await openNameServer();
  const resolve = createNameResolver([server.address], async (name) => {
    if (name === 'nowhere.example') throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return [{ address: '10.0.0.1', family: 4 }];
  });
  const lookUp = (name: string) =>
    new Promise<unknown>((settle) =>
      resolve(name, { all: true }, (error, found) => settle(error?.code ?? found)),
    );
  let silentCount = 0;
  for (let n = 0; n < 20; n += 1) void lookUp(`silent${n}.example`).finally(() => silentCount++);
  expect(await lookUp('ok.example')).toEqual([{ address: '192.0.2.1', family: 4 }]);
  expect(await lookUp('hosts.example')).toEqual([{ address: '10.0.0.1', family: 4 }]);
  expect(await lookUp('receiver')).toEqual([{ address: '10.0.0.1', family: 4 }]);
  expect(await lookUp('nowhere.example')).toBe('ENOTFOUND');
  expect(silentCount).toBe(0);
  const before = server.asked.length;
  await Promise.all([lookUp('ok.example'), lookUp('ok.example')]);
  expect(server.asked.length - before).toBe(2);
  server.close();
});
