import { TandemError } from './errors.ts';
import { OPERATIONS, type OperationId, type Operations } from './generated.ts';
import { type Page, Pages } from './pages.ts';
import type { CallOptions, RequestBody, Transport } from './transport.ts';

/** What a request of an operation carries; all of it is optional here, because the operation's types say what is needed. */
export interface Input {
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly query?: Readonly<Record<string, unknown>> | undefined;
  readonly body?: unknown;
}

type Need<Name extends string, T> = [T] extends [undefined] ? unknown : { readonly [K in Name]: T };

/** What a request of this operation needs. */
export type InputOf<Id extends OperationId> = Need<'params', Operations[Id]['params']> &
  Need<'body', Operations[Id]['body']> & { readonly query?: Operations[Id]['query'] | undefined };

export type ResponseOf<Id extends OperationId> = Operations[Id]['response'];

/** The item of a list's page. */
export type ItemOf<Id extends OperationId> =
  ResponseOf<Id> extends { data: readonly (infer T)[] } ? T : never;

export interface ApiSettings {
  readonly transport: Transport;
  /** For the operator: the account of all requests. */
  readonly accountId: string | undefined;
  readonly parse: (text: string) => unknown;
}

/** Calls operations by their IDs in the OpenAPI document. */
export class Api {
  readonly transport: Transport;
  readonly parse: (text: string) => unknown;
  readonly #accountId: string | undefined;

  constructor({ transport, accountId, parse }: ApiSettings) {
    this.transport = transport;
    this.parse = parse;
    this.#accountId = accountId;
  }

  /** @returns the body as the operation's type; undefined for an empty one */
  async call<Id extends OperationId>(
    id: Id,
    input: Input,
    options: CallOptions = {},
  ): Promise<ResponseOf<Id>> {
    const text = await this.text(id, input, options);
    return (text === '' ? undefined : this.#parsed(text)) as ResponseOf<Id>;
  }

  /** @throws TandemError for what is no JSON: something in between has responded in place of the API */
  #parsed(text: string): unknown {
    try {
      return this.parse(text);
    } catch (cause) {
      throw new TandemError(`${this.transport.baseUrl} did not respond with JSON. Is it the API?`, { cause });
    }
  }

  text(id: OperationId, input: Input, options: CallOptions = {}): Promise<string> {
    return this.transport.text(this.#requestOf(id, input, options), options);
  }

  open(id: OperationId, input: Input, options: CallOptions = {}): Promise<Response> {
    return this.transport.open(this.#requestOf(id, input, options), options);
  }

  pages<Id extends OperationId>(id: Id, input: Input, options: CallOptions = {}): Pages<ItemOf<Id>> {
    return new Pages(async (cursor) => {
      const query = { ...input.query, ...(cursor === undefined ? {} : { cursor }) };
      return (await this.call(id, { ...input, query }, options)) as Page<ItemOf<Id>>;
    });
  }

  #requestOf(id: OperationId, { params = {}, query = {}, body }: Input, { idempotencyKey }: CallOptions) {
    const operation = OPERATIONS[id];
    const account = operation.takesAccount ? { account_id: this.#accountId } : {};
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(params[name] ?? ''),
    );
    const headers: Record<string, string> = {};
    if (operation.creates) headers['idempotency-key'] = idempotencyKey ?? crypto.randomUUID();
    if (operation.bodyType !== null && body !== undefined) headers['content-type'] = operation.bodyType;
    return {
      method: operation.method,
      url: this.transport.baseUrl + path + queryText({ ...account, ...query }),
      headers: this.transport.authorized(headers),
      body: bodyOf(operation.bodyType, body),
      // A second test of an endpoint would be refused, or sent twice.
      isRepeatable: id !== 'testWebhook',
      followsRedirects: id === 'getExportFile',
    };
  }
}

function bodyOf(type: string | null, body: unknown): RequestBody | undefined {
  if (body === undefined || type === null) return undefined;
  return type === 'application/json' ? JSON.stringify(body) : (body as RequestBody);
}

function queryText(query: Readonly<Record<string, unknown>>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) given.set(name, String(value));
  }
  return given.size === 0 ? '' : `?${given}`;
}
