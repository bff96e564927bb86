import { findOperation } from '../../../shared/bulk/operation.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import {
  type ConcurrencyLimiter,
  type ConcurrencyLimits,
  createConcurrencyLimiter,
  type Release,
} from '../http/concurrency-limiter.ts';
import type { BulkBody } from './request.ts';

/**
 * Limits of concurrent synchronous operations with a handler. Each uses a connection of the control store while its
 * handler works, and other requests need connections too.
 */
const HANDLER_LIMITS = { max: 8, perAccount: 2 };

const RETRY_SECONDS = 2;

/** Limits synchronous operations that call a handler. */
export function createHandlerLimiter(): ConcurrencyLimiter {
  return createConcurrencyLimiter(
    HANDLER_LIMITS,
    () =>
      new AppError(
        'too_many',
        'Too many synchronous operations wait for their handlers. Try again in a moment, or use async: true.',
        { retryAfterSeconds: RETRY_SECONDS },
      ),
  );
}

/**
 * Limits synchronous operations that change rows themselves: each uses a connection of the control store for as long as
 * the source takes. Operations with a handler have the limiter above, and other requests are not limited here.
 *
 * @throws AppError `too_many` when the account is at its own limit, `unavailable` when all accounts together are
 */
export function createApplyLimiter(
  limits: ConcurrencyLimits,
  catalog: Catalog,
): (body: BulkBody, accountId: string) => Promise<Release> {
  const limiter = createConcurrencyLimiter(
    limits,
    (isOwn) =>
      new AppError(
        isOwn ? 'too_many' : 'unavailable',
        `Too many synchronous operations${isOwn ? ' of this account' : ''} are running. Try again in a moment, or use async: true.`,
        { retryAfterSeconds: RETRY_SECONDS },
      ),
  );
  return async (body, accountId) =>
    body.async || body.dry_run || hasHandler(catalog, body) ? () => undefined : limiter.acquire(accountId);
}

function hasHandler(catalog: Catalog, { resource: name, operation }: BulkBody): boolean {
  const resource = findResource(catalog, name);
  return resource !== undefined && findOperation(resource, operation)?.kind === 'http';
}
