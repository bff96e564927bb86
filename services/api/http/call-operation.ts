import { accountOf, authorize, type Caller } from './caller.ts';
import { type MountDeps, onceOnly, schemasOf } from './mount-routes.ts';
import type { ApiResponse } from './response.ts';
import type { ApiRequest, RawBody, Route } from './route.ts';
import { validate } from './validate.ts';

/** A request of an operation from within the API. */
export interface OperationCall {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly idempotencyKey?: string | undefined;
  /** Whose data it is about, where the caller is the operator. */
  readonly accountId?: string | undefined;
  /** A body that the operation reads itself. */
  readonly rawBody?: RawBody;
}

/**
 * Sends the request of a page to an operation of the API, without HTTP between them: with the caller's rights, the
 * operation's validation, and the same audit.
 *
 * @throws AppError what the operation would respond with as a problem
 */
export type CallOperation = (
  operationId: string,
  page: Pick<ApiRequest, 'incoming' | 'requestId'>,
  caller: Caller,
  call?: OperationCall,
) => Promise<ApiResponse>;

export function createOperationCaller(
  routes: readonly Route[],
  deps: Pick<MountDeps, 'pool' | 'responseBox' | 'accountExists'>,
): CallOperation {
  const byId = new Map(routes.map((route) => [route.operationId, route]));
  return async (
    operationId,
    { incoming, requestId },
    caller,
    { params = {}, query = {}, body, idempotencyKey, rawBody, accountId: named } = {},
  ) => {
    const route = byId.get(operationId);
    if (route === undefined) throw new RangeError(`there is no operation ${operationId}`);
    authorize(caller, route.access);
    const schemas = schemasOf(route, 'customer');
    const accountId = await accountOf(
      caller,
      route.account,
      { pointer: 'account_id', accountId: named },
      deps.accountExists,
    );
    const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(params[name] ?? ''),
    );
    return route.handle({
      method: route.method,
      path,
      querystring: '',
      requestId,
      caller,
      accountId,
      query: validate(schemas.query, query, 'query'),
      body: schemas.body === undefined ? {} : validate(schemas.body, body ?? {}, 'body', route.bodyRules),
      param: (name) => params[name] ?? '',
      header: () => undefined,
      incoming: rawBody ?? incoming,
      ...onceOnly(deps, {
        accountId: accountId ?? '*',
        route: `${route.method} ${path}`,
        key: idempotencyKey,
        keyPrint: caller.keyPrint,
        body,
      }),
    });
  };
}
