import { findOperation } from '../../../shared/bulk/operation.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { createPlaces, type Leave } from '../http/concurrency-limiter.ts';
import type { BulkBody } from './request.ts';

/** Synchronous operations without a handler at once, in this process and of one account, and how long more wait for a place. */
export interface ApplyPlaces {
  readonly max: number;
  readonly perAccount: number;
  readonly waitMs: number;
}

const RETRY_SECONDS = 2;

/**
 * Gives synchronous requests that change rows their places: each holds a connection of the control store for as long as the
 * source takes. Other requests need none, and those with a handler have places of their own.
 *
 * @throws AppError `too_many` while the account's own requests have its places, `unavailable` while others have all there are
 */
export function createApplyPlaces(
  { max, perAccount, waitMs }: ApplyPlaces,
  catalog: Catalog,
): (body: BulkBody, accountId: string) => Promise<Leave> {
  const places = createPlaces({ max, perAccount });
  return async (body, accountId) => {
    if (body.async || body.dry_run || hasHandler(catalog, body)) return () => undefined;
    const leave = await places.takeSoon(accountId, waitMs);
    if (typeof leave === 'function') return leave;
    const isOwn = leave === 'account';
    throw new AppError(
      isOwn ? 'too_many' : 'unavailable',
      `Too many synchronous operations${isOwn ? ' of this account' : ''} are running. Try again in a moment, or use async: true.`,
      { retryAfterSeconds: RETRY_SECONDS },
    );
  };
}

function hasHandler(catalog: Catalog, { resource: name, operation }: BulkBody): boolean {
  const resource = findResource(catalog, name);
  return resource !== undefined && findOperation(resource, operation)?.kind === 'http';
}
