import { Admin } from './admin.ts';
import { Api, type InputOf, type ItemOf, type ResponseOf } from './api.ts';
import { Bulk } from './bulk.ts';
import { Events } from './events.ts';
import { Exports } from './exports.ts';
import type { OperationId } from './generated.ts';
import { Keys } from './keys.ts';
import type { Pages } from './pages.ts';
import { DEFAULT_RETRIES } from './retry.ts';
import { type CallOptions, Transport } from './transport.ts';
import type { Query } from './types.ts';
import { VERSION } from './version.ts';
import { Webhooks } from './webhooks.ts';

export interface TandemOptions {
  /** Where the API is, such as `https://tandem.example.com`. */
  readonly baseUrl: string;
  /** The key of an account, or of the operator. It is kept private, and appears in no error. */
  readonly key: string;
  /** For the operator: the account that requests are for. */
  readonly accountId?: string | undefined;
  /** Repeats of a failed request. Default: 5. */
  readonly maxRetries?: number | undefined;
  /** The longest `Retry-After` that is waited for. Default: 60 seconds. */
  readonly maxWaitMs?: number | undefined;
  /** Time limit of each attempt. Default: 60 seconds. */
  readonly timeoutMs?: number | undefined;
  /** Default: the runtime's `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** Reads responses. Default: `JSON.parse`. Give a parser that keeps all digits if your numbers need it. */
  readonly parse?: ((text: string) => unknown) | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;

/** A client of Tandem's API. */
export class Tandem {
  readonly exports: Exports;
  readonly events: Events;
  readonly webhooks: Webhooks;
  readonly bulk: Bulk;
  readonly account: Account;
  readonly keys: Keys;
  readonly resources: Resources;
  readonly eventTypes: EventTypes;
  readonly feed: Feed;
  readonly admin: Admin;
  readonly health: Health;
  readonly #api: Api;

  constructor(options: TandemOptions) {
    const send = options.fetch ?? globalThis.fetch;
    const transport = new Transport({
      baseUrl: options.baseUrl,
      key: options.key,
      // Browsers refuse a fetch that is not called on their global.
      fetch: (input, init) => send.call(globalThis, input, init),
      retries: {
        maxRetries: options.maxRetries ?? DEFAULT_RETRIES.maxRetries,
        maxWaitMs: options.maxWaitMs ?? DEFAULT_RETRIES.maxWaitMs,
      },
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      // A browser names itself, and another name would need the server's permission.
      userAgent: 'document' in globalThis ? undefined : `tandem-client-js/${VERSION}`,
    });
    const api = new Api({ transport, accountId: options.accountId, parse: options.parse ?? JSON.parse });
    this.exports = new Exports(api);
    this.events = new Events(api);
    this.webhooks = new Webhooks(api);
    this.bulk = new Bulk(api);
    this.account = new Account(api);
    this.keys = new Keys(api);
    this.resources = new Resources(api);
    this.eventTypes = new EventTypes(api);
    this.feed = new Feed(api);
    this.admin = new Admin(api);
    this.health = new Health(api);
    this.#api = api;
  }

  /** Any operation by its ID in the OpenAPI document, with retries and an idempotency key like all others. */
  request<Id extends OperationId>(
    id: Id,
    input: InputOf<Id>,
    options: CallOptions = {},
  ): Promise<ResponseOf<Id>> {
    return this.#api.call(id, input, options);
  }

  /** The same as the text of the response, which keeps all digits of its numbers. */
  requestText<Id extends OperationId>(
    id: Id,
    input: InputOf<Id>,
    options: CallOptions = {},
  ): Promise<string> {
    return this.#api.text(id, input, options);
  }
}

/** The account of the key. */
export class Account {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Name, limits, quota, and the jobs that run and wait. */
  get(options: CallOptions = {}): Promise<ResponseOf<'getAccount'>> {
    return this.#api.call('getAccount', {}, options);
  }

  /** Who did what in the account, newest first. */
  audit(
    query: Query<'listAccountAuditEntries'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listAccountAuditEntries'>> {
    return this.#api.pages('listAccountAuditEntries', { query }, options);
  }
}

/** What can be exported and followed. */
export class Resources {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  list(query: Query<'listResources'> = {}, options: CallOptions = {}): Pages<ItemOf<'listResources'>> {
    return this.#api.pages('listResources', { query }, options);
  }

  get(name: string, options: CallOptions = {}): Promise<ResponseOf<'getResource'>> {
    return this.#api.call('getResource', { params: { name } }, options);
  }
}

/** The types of events that webhooks can ask for. */
export class EventTypes {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  list(query: Query<'listEventTypes'> = {}, options: CallOptions = {}): Pages<ItemOf<'listEventTypes'>> {
    return this.#api.pages('listEventTypes', { query }, options);
  }
}

/** Whether the feed delivers changes. */
export class Feed {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  get(options: CallOptions = {}): Promise<ResponseOf<'getFeed'>> {
    return this.#api.call('getFeed', {}, options);
  }
}

/** The probes of the server. */
export class Health {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** The process is up. */
  live(options: CallOptions = {}): Promise<ResponseOf<'getHealth'>> {
    return this.#api.call('getHealth', {}, options);
  }

  /** The process serves requests. */
  ready(options: CallOptions = {}): Promise<ResponseOf<'getReadiness'>> {
    return this.#api.call('getReadiness', {}, options);
  }

  /** The OpenAPI document of this server, with the names of its own resources. */
  openApi(options: CallOptions = {}): Promise<ResponseOf<'getOpenApi'>> {
    return this.#api.call('getOpenApi', {}, options);
  }
}
