import type { Api, ItemOf, ResponseOf } from './api.ts';
import type { Pages } from './pages.ts';
import type { CallOptions } from './transport.ts';
import type { Body, Query } from './types.ts';

/** Accounts, as the operator sees them. */
export class AdminAccounts {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  create(request: Body<'createAccount'>, options: CallOptions = {}): Promise<ResponseOf<'createAccount'>> {
    return this.#api.call('createAccount', { body: request }, options);
  }

  list(query: Query<'listAccounts'> = {}, options: CallOptions = {}): Pages<ItemOf<'listAccounts'>> {
    return this.#api.pages('listAccounts', { query }, options);
  }

  get(id: string, options: CallOptions = {}): Promise<ResponseOf<'getAccountAsOperator'>> {
    return this.#api.call('getAccountAsOperator', { params: { id } }, options);
  }

  update(
    id: string,
    change: Body<'updateAccount'>,
    options: CallOptions = {},
  ): Promise<ResponseOf<'updateAccount'>> {
    return this.#api.call('updateAccount', { params: { id }, body: change }, options);
  }
}

/** The keys of an account. */
export class AdminKeys {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Creates a key. It is shown only now. */
  create(
    accountId: string,
    request: Body<'createKey'> = {},
    options: CallOptions = {},
  ): Promise<ResponseOf<'createKey'>> {
    return this.#api.call('createKey', { params: { id: accountId }, body: request }, options);
  }

  list(accountId: string, options: CallOptions = {}): Pages<ItemOf<'listKeys'>> {
    return this.#api.pages('listKeys', { params: { id: accountId } }, options);
  }

  /** `with_made` revokes the keys that it made too. */
  async revoke(
    accountId: string,
    keyId: string,
    options: CallOptions & Query<'revokeKey'> = {},
  ): Promise<void> {
    const { with_made: withMade, ...call } = options;
    const query = withMade === undefined ? {} : { with_made: withMade };
    await this.#api.call('revokeKey', { params: { id: accountId, key_id: keyId }, query }, call);
  }
}

/** Who may look at the dashboard of an account. */
export class AdminPortal {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Makes a link that opens the dashboard once. */
  createLink(
    accountId: string,
    request: Body<'createPortalLink'> = {},
    options: CallOptions = {},
  ): Promise<ResponseOf<'createPortalLink'>> {
    return this.#api.call('createPortalLink', { params: { id: accountId }, body: request }, options);
  }

  /** Sessions that have not ended. */
  sessions(accountId: string, options: CallOptions = {}): Pages<ItemOf<'listPortalSessions'>> {
    return this.#api.pages('listPortalSessions', { params: { id: accountId } }, options);
  }

  async revoke(accountId: string, sessionId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.call(
      'revokePortalSession',
      { params: { id: accountId, session_id: sessionId } },
      options,
    );
  }

  /** Ends all sessions of an account, and voids its links. */
  async revokeAll(accountId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.call('revokePortalSessions', { params: { id: accountId } }, options);
  }
}

/** The operator's own sessions in the dashboard. */
export class AdminSessions {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Sessions that have not ended. */
  list(
    query: Query<'listOperatorSessions'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listOperatorSessions'>> {
    return this.#api.pages('listOperatorSessions', { query }, options);
  }

  async revoke(sessionId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.call('revokeOperatorSession', { params: { session_id: sessionId } }, options);
  }

  async revokeAll(options: CallOptions = {}): Promise<void> {
    await this.#api.call('revokeOperatorSessions', {}, options);
  }
}

/** What only the operator may call. */
export class Admin {
  readonly accounts: AdminAccounts;
  readonly keys: AdminKeys;
  readonly portal: AdminPortal;
  readonly sessions: AdminSessions;
  readonly #api: Api;

  constructor(api: Api) {
    this.accounts = new AdminAccounts(api);
    this.keys = new AdminKeys(api);
    this.portal = new AdminPortal(api);
    this.sessions = new AdminSessions(api);
    this.#api = api;
  }

  /** Who did what, newest first. */
  audit(query: Query<'listAuditEntries'> = {}, options: CallOptions = {}): Pages<ItemOf<'listAuditEntries'>> {
    return this.#api.pages('listAuditEntries', { query }, options);
  }

  /** Processes, queues and lags, and what holds work up. */
  status(options: CallOptions = {}): Promise<ResponseOf<'getStatus'>> {
    return this.#api.call('getStatus', {}, options);
  }

  /** Endpoints with events that were given up, the newest endpoints first. */
  deadLetters(
    query: Query<'listDeadLetterEndpoints'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listDeadLetterEndpoints'>> {
    return this.#api.pages('listDeadLetterEndpoints', { query }, options);
  }

  /** Endpoints that fail or were disabled, those that have failed longest first. */
  failingEndpoints(
    query: Query<'listFailingEndpoints'> = {},
    options: CallOptions = {},
  ): Pages<ItemOf<'listFailingEndpoints'>> {
    return this.#api.pages('listFailingEndpoints', { query }, options);
  }

  /** Lag of the feed, and the WAL that the source retains for it. */
  source(options: CallOptions = {}): Promise<ResponseOf<'getSource'>> {
    return this.#api.call('getSource', {}, options);
  }

  /** Metrics of the API process in the text format of Prometheus. */
  metrics(options: CallOptions = {}): Promise<string> {
    return this.#api.text('getMetrics', {}, options);
  }
}
