import type { Api, ItemOf, ResponseOf } from './api.ts';
import type { Pages } from './pages.ts';
import type { CallOptions } from './transport.ts';
import type { Body, FailedReplay, Query, Webhook, WebhookTest, WebhookWithSecret } from './types.ts';
import { type Delivery, type RequestHeaders, type VerifyOptions, verifyWebhook } from './verify.ts';

/** Endpoints that get the feed. */
export class Webhooks {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Creates an endpoint. Keep its `secret`: it is shown only now. */
  create(request: Body<'createWebhook'>, options: CallOptions = {}): Promise<WebhookWithSecret> {
    return this.#api.call('createWebhook', { body: request }, options) as Promise<WebhookWithSecret>;
  }

  /** Newest first. */
  list(query: Query<'listWebhooks'> = {}, options: CallOptions = {}): Pages<ItemOf<'listWebhooks'>> {
    return this.#api.pages('listWebhooks', { query }, options);
  }

  get(id: string, options: CallOptions = {}): Promise<Webhook> {
    return this.#api.call('getWebhook', { params: { id } }, options) as Promise<Webhook>;
  }

  /** Changes the fields that are given. */
  update(id: string, change: Body<'updateWebhook'>, options: CallOptions = {}): Promise<Webhook> {
    return this.#api.call('updateWebhook', { params: { id }, body: change }, options) as Promise<Webhook>;
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#api.call('deleteWebhook', { params: { id } }, options);
  }

  /** Stops deliveries. Events are retained. */
  pause(id: string, options: CallOptions = {}): Promise<Webhook> {
    return this.#api.call('pauseWebhook', { params: { id } }, options) as Promise<Webhook>;
  }

  /** Continues deliveries where they stopped. */
  resume(id: string, options: CallOptions = {}): Promise<Webhook> {
    return this.#api.call('resumeWebhook', { params: { id } }, options) as Promise<Webhook>;
  }

  /** Makes a new secret. The old one also signs for a day, so verify with both. */
  rotateSecret(id: string, options: CallOptions = {}): Promise<WebhookWithSecret> {
    return this.#api.call('rotateWebhookSecret', { params: { id } }, options) as Promise<WebhookWithSecret>;
  }

  /** Sends one signed `webhook.test` now, and returns what the endpoint responded. */
  test(id: string, options: CallOptions = {}): Promise<WebhookTest> {
    return this.#api.call('testWebhook', { params: { id } }, options) as Promise<WebhookTest>;
  }

  /** Delivers the events after a place again. */
  replay(
    id: string,
    from: { readonly since: string } | { readonly after_export: string },
    options: CallOptions = {},
  ): Promise<Webhook> {
    return this.#api.call('replayWebhook', { params: { id }, body: from }, options) as Promise<Webhook>;
  }

  /** Delivers again what failed within a time, and only that. */
  replayFailed(
    id: string,
    range: { readonly from: string; readonly to?: string | undefined },
    options: CallOptions = {},
  ): Promise<FailedReplay> {
    const body = { only: 'failed', ...range };
    return this.#api.call('replayWebhook', { params: { id }, body }, options) as Promise<FailedReplay>;
  }

  /** The latest delivery attempts, newest first. */
  attempts(
    id: string,
    query: Query<'listWebhookAttempts'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listWebhookAttempts'>> {
    return this.#api.pages('listWebhookAttempts', { params: { id }, query }, options);
  }

  /** One attempt, with the request's headers and body and the response's. */
  attempt(
    id: string,
    attemptId: string,
    options: CallOptions = {},
  ): Promise<ResponseOf<'getWebhookAttempt'>> {
    return this.#api.call('getWebhookAttempt', { params: { id, attempt_id: attemptId } }, options);
  }

  /** Deliveries, failures and durations over time, and how far the endpoint is behind. */
  stats(
    id: string,
    query: Query<'getWebhookStats'> = {},
    options: CallOptions = {},
  ): Promise<ResponseOf<'getWebhookStats'>> {
    return this.#api.call('getWebhookStats', { params: { id }, query }, options);
  }

  /** Deliveries that were given up. `events.redeliver` sends one again. */
  deadLetters(
    id: string,
    query: Query<'listDeadLetters'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listDeadLetters'>> {
    return this.#api.pages('listDeadLetters', { params: { id }, query }, options);
  }

  /** Verifies a request to your endpoint by its raw body. @throws SignatureError: respond 401 */
  verify(
    headers: RequestHeaders,
    body: string | Uint8Array,
    secrets: string | readonly string[],
    options: VerifyOptions = {},
  ): Promise<Delivery> {
    return verifyWebhook(headers, body, secrets, { parse: this.#api.parse, ...options });
  }
}
