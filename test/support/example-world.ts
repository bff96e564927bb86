import { findAccount } from '../../services/api/admin/accounts.ts';
import { EXAMPLE } from '../../services/api/http/example-values.ts';
import { createKeyStore } from '../../services/api/http/key-lookup.ts';
import { parseCidr } from '../../shared/domain/address-rules.ts';
import { eventId } from '../../shared/domain/position.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { type ApiDocument, readApiDocument } from './api-document.ts';
import { ADMIN_KEY } from './api-server.ts';
import { type BulkWorld, openBulkWorld } from './bulk-world.ts';
import { completeExport } from './complete-export.ts';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from './dispatcher.ts';
import { waitFor } from './wait-for.ts';
import { openWebhookReceiver } from './webhook-receiver.ts';

type AccountWithRows = Awaited<ReturnType<BulkWorld['account']>>;

/** An API and a dispatcher with objects of every kind that the examples of the API document name. */
export interface ExampleWorld extends AsyncDisposable {
  readonly bed: DispatcherBed;
  readonly world: BulkWorld;
  readonly document: ApiDocument;
  /** The account that the objects belong to. */
  readonly account: AccountWithRows;
  /** What the API logged of its own failures. */
  readonly failures: readonly string[];
  /** @returns the JSON of the response, whose status has to be below 300 */
  call(method: string, path: string, body?: unknown, key?: string): Promise<Json>;
  newKey(scopes?: readonly string[]): Promise<{ id: string; key: string }>;
  newExport(): Promise<string>;
  newCompletedExport(): Promise<string>;
  newJob(): Promise<string>;
  newWebhook(): Promise<string>;
  /** Creates the objects that the examples are about. @returns their IDs by the IDs that they have in the examples */
  arrange(): Promise<Record<string, string>>;
}

/** Whatever an operation returns. */
// biome-ignore lint/suspicious/noExplicitAny: a test names the members that it expects.
type Json = any;

export async function openExampleWorld(): Promise<ExampleWorld> {
  await using cleanup = new AsyncDisposableStack();
  const bed = cleanup.use(await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.1' }));
  cleanup.adopt(await bed.start(), (dispatcher) => dispatcher.stop());
  const receiver = cleanup.use(
    await openWebhookReceiver((_request, response) => {
      response.writeHead(500).end('no');
      return undefined;
    }),
  );
  const failures: string[] = [];
  const { pool, env } = bed;
  const world = cleanup.use(
    await openBulkWorld({
      pool,
      doorPool: pool,
      secretBox: createSecretBox(env.SECRET_KEY ?? '', WEBHOOK_SECRETS),
      keys: createKeyStore(pool, pool),
      accountExists: async (id) => (await findAccount(pool, id)) !== undefined,
      deliveryRules: { allowNetworks: [parseCidr('127.0.0.0/8')], allowHttp: true },
      maxQueuedExports: 1_000,
      maxQueuedBulk: 1_000,
      log: {
        ...silentLog,
        error: (event, { error } = {}) => void failures.push(`${event} ${String(error)}`),
      },
    }),
  );
  const document = await readApiDocument(world.api);
  const account = await world.account(3);

  const call: ExampleWorld['call'] = async (method, path, body, key = account.key) => {
    const reply = await world.api.call(method, path, { key, ...(body === undefined ? {} : { body }) });
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.json;
  };
  const newKey: ExampleWorld['newKey'] = (scopes = ['exports:read']) =>
    call('POST', `/admin/accounts/${account.id}/keys`, { scopes }, ADMIN_KEY);
  const newExport = async () => (await call('POST', '/exports', { resource: 'invoices' })).id as string;
  const newJob = async () => {
    const request = { resource: 'invoices', operation: 'void', ids: account.ids, async: true };
    return (await call('POST', '/bulk/operations', request)).job_id as string;
  };
  const newWebhook = async () =>
    (await call('POST', '/webhooks', { url: receiver.url, events: ['invoice.updated'] })).id as string;
  const newCompletedExport = async () => {
    const id = await newExport();
    await completeExport({ ...world.api, pool }, id, '{}\n');
    return id;
  };

  async function arrange(): Promise<Record<string, string>> {
    const webhook = await newWebhook();
    // Each time at the same position with a later commit time, as when an event is recorded again too late.
    const change = { account: account.sourceId, lsn: 16, op: 'update' } as const;
    await bed.publish([invoiceChange({ ...change, before: ['1', account.sourceId, 'old', null] })]);
    const deadLetters = () => call('GET', `/webhooks/${webhook}/dead-letters`);
    await waitFor('the event to be given up', async () => (await deadLetters()).data.length > 0);
    const attempts = () => call('GET', `/webhooks/${webhook}/attempts`);
    await waitFor('the attempts to be recorded', async () => (await attempts()).data.length > 1);
    return {
      [EXAMPLE.account]: account.id,
      [EXAMPLE.key]: (await newKey()).id,
      [EXAMPLE.export]: await newCompletedExport(),
      [EXAMPLE.webhook]: webhook,
      [EXAMPLE.job]: await newJob(),
      [EXAMPLE.event]: eventId({ commitLsn: 16n, index: 0 }),
      [EXAMPLE.attempt]: (await attempts()).data[0].id,
      1001: account.ids[0] ?? '',
    };
  }

  const resources = cleanup.move();
  return {
    bed,
    world,
    document,
    account,
    failures,
    call,
    newKey,
    newExport,
    newCompletedExport,
    newJob,
    newWebhook,
    arrange,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A text of the API document with real IDs in place of the examples'. */
export function withIds(text: string, ids: Readonly<Record<string, string>>): string {
  return Object.entries(ids).reduce((whole, [example, id]) => whole.replaceAll(example, id), text);
}
