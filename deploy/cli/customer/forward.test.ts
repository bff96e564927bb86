import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { verifyWebhook } from '../../../schemas/clients/typescript/src/index.ts';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import { forwardEvent } from './forward.ts';

const SECRET = 'whsec_c2VjcmV0IG9mIHRoaXMgdGVzdA==';
const EVENT = '{"id":"evt_1","type":"invoice.created","data":{"total":12345678901234567890.10}}';

test('an event is sent until it is accepted, each time signed as a webhook is, and a redirect is not followed', async () => {
  const statuses = [500, 307, 204];
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    bodies.push((await verifyWebhook(request.headers, body, SECRET)).text);
    response.writeHead(statuses[bodies.length - 1] ?? 500, { location: '/elsewhere' }).end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const failures: string[] = [];
  const options = {
    url,
    key: secretToKey(SECRET),
    signal: new AbortController().signal,
    onFailure: (reason: string) => failures.push(reason),
  };
  expect(await forwardEvent('evt_1', EVENT, options)).toMatchObject({ status: 204, attempts: 3 });
  expect(bodies).toEqual([EVENT, EVENT, EVENT]);
  expect(failures).toEqual([`${url} returned 500`, `${url} returned 307`]);
});

test('a program that is not there is a failure, and Ctrl-C ends the waiting', async () => {
  const stop = new AbortController();
  const options = {
    url: 'http://127.0.0.1:1/hook',
    key: secretToKey(SECRET),
    signal: stop.signal,
    onFailure: (reason: string) => stop.abort(new Error(reason)),
  };
  await expect(forwardEvent('evt_1', EVENT, options)).rejects.toThrow(
    'http://127.0.0.1:1/hook is not reached: ',
  );
});
