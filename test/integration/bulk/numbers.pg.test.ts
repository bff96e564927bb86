import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

/** Bodies as the handler got them. */
const asked: string[] = [];
const handler = createServer(async (request, response) => {
  asked.push(await text(request));
  response.end();
});

let world: BulkWorld;
beforeAll(async () => {
  await new Promise<void>((resolve) => handler.listen(0, '127.0.0.1', resolve));
  const handlerUrl = `http://127.0.0.1:${(handler.address() as AddressInfo).port}`;
  const sample = await loadCatalog('schemas/catalogs/documint.yaml');
  const configure = { set_from_params: ['whole', 'small', 'exact', 'list', 'label', 'address', 'raw'] };
  const render = { http: { url: handlerUrl, timeout_ms: 5_000 } };
  const catalog = {
    ...sample,
    resources: sample.resources.map((resource) => ({
      ...resource,
      operations: {
        ...resource.operations,
        render,
        ...(resource.name === 'customers' ? { configure } : {}),
      },
    })),
  };
  world = await openBulkWorld({ handlerUrl, catalog });
  await world.api.pool.query(
    `alter table documint.customers add whole bigint, add small integer, add exact numeric, add list bigint[],
       add label text, add raw json`,
  );
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(async () => {
  handler.closeAllConnections();
  handler.close();
  await world[Symbol.asyncDispose]();
});

const post = (key: string, body: string, headers: Record<string, string> = {}) =>
  world.api.call('POST', '/bulk/operations', { key, body, headers });

const configureBody = (id: string | undefined, params: string) =>
  `{"resource":"customers","operation":"configure","ids":["${id}"],"params":${params}}`;

const renderBody = (id: string | undefined, params: string, isAsync: boolean) =>
  `{"resource":"invoices","operation":"render","ids":["${id}"],"params":${params},"async":${isAsync}}`;

test('numbers in parameters reach their columns digit for digit', async () => {
  const { key, ids } = await world.account(1);
  const json = '{"a": [9007199254740993, 1.10, 123456789012345678901234567890]}';
  const params = `{"whole":9007199254740993,"small":1.0e2,"exact":1.10,"list":[9223372036854775807,2.0],"label":1.10,"address":${json},"raw":${json}}`;
  expect(await post(key, configureBody(ids[0], params))).toMatchObject({
    status: 200,
    json: { succeeded: 1 },
  });
  const { rows } = await world.api.pool.query(
    `select whole::text, small, exact::text, list::text, label, address::text, replace(raw::text, ' ', '') as raw
     from documint.customers where id = $1`,
    [ids[0]],
  );
  expect(rows).toEqual([
    {
      whole: '9007199254740993',
      small: 100,
      exact: '1.10',
      list: '{9223372036854775807,2}',
      label: '1.10',
      address: json,
      raw: json.replaceAll(' ', ''),
    },
  ]);
});

test('a number that its column has no place for is refused, and so is one that is out of all bounds', async () => {
  const { key, ids } = await world.account(1);
  const refused = async (params: string) =>
    (await post(key, configureBody(ids[0], params))).json.errors.map(
      ({ pointer }: { pointer: string }) => pointer,
    );
  expect(await refused('{"whole":9223372036854775808}')).toEqual(['/params/whole']);
  expect(await refused('{"small":1.5}')).toEqual(['/params/small']);
  expect(await refused('{"address":{"a":[1e100000]}}')).toEqual(['/params/address/a/0']);
});

test('numbers in parameters reach a handler digit for digit, at once and from a job', async () => {
  const { key, ids } = await world.account(1);
  const params = '{"a":[9007199254740993,1.10]}';
  const done = await post(key, renderBody(ids[0], params, false));
  expect(done).toMatchObject({ status: 200, json: { succeeded: 1 } });
  await world.startWorker();
  const { json } = await post(key, renderBody(ids[0], params, true));
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 1 });
  expect(asked).toHaveLength(2);
  for (const body of asked) expect(body).toContain(`"params":${params}`);
});

test('an ID keeps its digits, and a filter’s number that would be changed is refused', async () => {
  const { key } = await world.account(1);
  const named = (ids: string) => post(key, `{"resource":"customers","operation":"delete","ids":[${ids}]}`);
  // The second is one that a double writes as it came, and no safe integer all the same.
  const digits = ['9007199254740993', '9007199254740994', '-9223372036854775808', '9223372036854775807'];
  const ids = await named(digits.join());
  expect(ids.json.results).toMatchObject(digits.map((id) => ({ item_id: id, code: 'not_found' })));
  const broken = await named('1.0,9007199254740993.5,1e-400');
  expect(broken).toMatchObject({
    status: 422,
    json: { errors: [{ pointer: '/ids/1' }, { pointer: '/ids/2' }] },
  });
  const filter = '{"id":{"eq":1.00000000000000000001}}';
  const filtered = await post(key, `{"resource":"customers","operation":"delete","filter":${filter}}`);
  expect(filtered).toMatchObject({ status: 422, json: { errors: [{ pointer: '/filter/id/eq' }] } });
});

test('bodies that differ in a digit that no double holds are not one request', async () => {
  const { key, ids } = await world.account(1);
  const send = (whole: string) =>
    post(key, configureBody(ids[0], `{"whole":${whole}}`), { 'idempotency-key': 'digits' });
  expect((await send('9007199254740993')).status).toBe(200);
  expect((await send('9007199254740992')).status).toBe(422);
  expect((await send('9007199254740993')).headers.get('idempotency-replayed')).toBe('true');
});
