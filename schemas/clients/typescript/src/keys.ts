import type { Api, ItemOf, ResponseOf } from './api.ts';
import type { Pages } from './pages.ts';
import type { CallOptions } from './transport.ts';
import type { Body, Query } from './types.ts';

/** The API keys of the account. Needs the scopes `keys:read` and `keys:write`. */
export class Keys {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Creates a key with scopes that this key has. It is shown only now. */
  create(
    request: Body<'createAccountKey'>,
    options: CallOptions = {},
  ): Promise<ResponseOf<'createAccountKey'>> {
    return this.#api.call('createAccountKey', { body: request }, options);
  }

  /** Newest first, revoked ones too. */
  list(query: Query<'listAccountKeys'> = {}, options: CallOptions = {}): Pages<ItemOf<'listAccountKeys'>> {
    return this.#api.pages('listAccountKeys', { query }, options);
  }

  /** The next request with the key is refused. `with_made` revokes the keys that it made too. */
  async revoke(id: string, options: CallOptions & Query<'revokeAccountKey'> = {}): Promise<void> {
    const { with_made: withMade, ...call } = options;
    const query = withMade === undefined ? {} : { with_made: withMade };
    await this.#api.call('revokeAccountKey', { params: { id }, query }, call);
  }
}
