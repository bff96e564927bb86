import { expect } from 'vitest';
import { eventId } from '../../shared/domain/position.ts';
import { openApiOver } from './api-over-dispatcher.ts';
import type { ApiReply, TestApi } from './api-server.ts';
import { type DispatcherBed, openDispatcherBed } from './dispatcher.ts';
import { openWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';

/** The ID of the event that `bed.addEvents` puts at this place. */
export const idOf = (lsn: number): string => eventId({ commitLsn: BigInt(lsn), index: 0 });

/** The api over a dispatcher that gives a delivery up at its second failure. */
export interface DeliveryBed extends AsyncDisposable {
  readonly bed: DispatcherBed;
  readonly api: TestApi;
  /** Before each test: an account and a receiver that no test had. */
  begin(): Promise<void>;
  /** After each test. */
  end(): Promise<void>;
  readonly receiver: WebhookReceiver;
  /** Whose key requests have. */
  account: { id: string; key: string };
  call(method: string, path: string, body?: unknown): Promise<ApiReply>;
  /** An endpoint of the account, at the receiver. */
  subscribe(fields?: Record<string, unknown>): Promise<{ id: string; secret: string }>;
  idsReceived(): string[];
  /** Deliveries of an endpoint that wait for a retry, or were given up. */
  retryCount(webhookId: string): Promise<number | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: tests read responses freely.
  statsOf(webhookId: string): Promise<any>;
}

export async function openDeliveryBed(): Promise<DeliveryBed> {
  await using cleanup = new AsyncDisposableStack();
  const bed = cleanup.use(await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.2' }));
  cleanup.use(await bed.start());
  const api = cleanup.use(await openApiOver(bed));
  let receiver: WebhookReceiver | undefined;
  const owned = cleanup.move();
  const deliveries: DeliveryBed = {
    bed,
    api,
    account: { id: '', key: '' },
    get receiver() {
      if (receiver === undefined) throw new Error('no test has begun');
      return receiver;
    },
    async begin() {
      receiver = await openWebhookReceiver();
      deliveries.account = await api.account();
    },
    async end() {
      await bed.pool.query('delete from webhooks');
      await receiver?.[Symbol.asyncDispose]();
    },
    call: (method, path, body) =>
      api.call(method, path, { key: deliveries.account.key, ...(body === undefined ? {} : { body }) }),
    async subscribe(fields = {}) {
      const { status, json } = await deliveries.call('POST', '/webhooks', {
        url: deliveries.receiver.url,
        ...fields,
      });
      expect(status).toBe(201);
      return json;
    },
    idsReceived: () => deliveries.receiver.received.map(({ id }) => id),
    async retryCount(webhookId) {
      const { rows } = await bed.pool.query<{ count: number }>(
        'select count(*)::int as count from webhook_parked where webhook_id = $1',
        [webhookId],
      );
      return rows[0]?.count;
    },
    statsOf: async (webhookId) => (await deliveries.call('GET', `/webhooks/${webhookId}/stats`)).json,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return deliveries;
}
