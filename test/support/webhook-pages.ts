import { expect } from 'vitest';
import { eventId } from '../../shared/domain/position.ts';
import { openApiOver } from './api-over-dispatcher.ts';
import type { TestApi } from './api-server.ts';
import { createDashboardVisitor } from './dashboard.ts';
import { type DispatcherBed, openDispatcherBed } from './dispatcher.ts';
import { openWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';

type Account = Awaited<ReturnType<TestApi['account']>>;
export type Fields = readonly (readonly [string, string])[];

/** As the form of an endpoint has it when it is opened. */
export const WEBHOOK_FORM: Fields = [
  ['scope', 'all'],
  ['start', 'now'],
  ['order', 'record'],
  ['max_in_flight', '50'],
];

/** The dashboard over a dispatcher that delivers to one receiver. */
export interface WebhookPages extends AsyncDisposable {
  readonly bed: DispatcherBed;
  readonly api: TestApi;
  readonly receiver: WebhookReceiver;
  /** A browser without JavaScript, in a session that may do everything. */
  enter(account: Account): Promise<WebhookSession>;
  /** @returns the endpoint's ID */
  subscribe(account: Account, body?: Record<string, unknown>): Promise<string>;
  /** A place in the feed that nothing has taken yet; with a count, the last of so many. */
  nextLsn(count?: number): number;
  addEvent(account: Account, record?: number): Promise<{ id: string; lsn: number }>;
  attemptsOf(account: Account, webhookId: string, query?: string): Promise<ShownAttempt[]>;
}

export interface WebhookSession {
  show(path: string): ReturnType<TestApi['call']>;
  send(path: string, fields?: Fields): ReturnType<TestApi['call']>;
}

export interface ShownAttempt {
  id: string;
  event_id: string;
  outcome: string;
  status: number | null;
}

export async function openWebhookPages(): Promise<WebhookPages> {
  await using cleanup = new AsyncDisposableStack();
  const bed = cleanup.use(await openDispatcherBed());
  const api = cleanup.use(await openApiOver(bed));
  const receiver = cleanup.use(await openWebhookReceiver());
  cleanup.use(await bed.start());
  let lastLsn = 1_000;
  const nextLsn = (count = 1) => {
    lastLsn += count;
    return lastLsn;
  };
  const owned = cleanup.move();
  return {
    bed,
    api,
    receiver,
    nextLsn,
    async enter(account) {
      const visitor = createDashboardVisitor(api);
      const cookie = await visitor.open(account);
      const csrf = await visitor.csrf(cookie);
      return {
        show: (path) => visitor.show(path, cookie),
        send(path, fields = []) {
          const sent = new URLSearchParams({ csrf });
          for (const [name, value] of fields) sent.append(name, value);
          return visitor.send(path, sent, cookie);
        },
      };
    },
    async subscribe({ key }, body = {}) {
      const made = await api.call('POST', '/webhooks', { key, body: { url: receiver.url, ...body } });
      expect(made.status, made.text).toBe(201);
      return made.json.id;
    },
    async addEvent({ id: accountId }, record = 1) {
      const lsn = nextLsn();
      await bed.addEvents([{ accountId, lsn, record }]);
      return { id: eventId({ commitLsn: BigInt(lsn), index: 0 }), lsn };
    },
    async attemptsOf({ key }, webhookId, query = '') {
      const { json } = await api.call('GET', `/webhooks/${webhookId}/attempts?${query}`, { key });
      return json.data;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
