import type pg from 'pg';
import type { BaseConfig } from '../../shared/service/base-config.ts';
import { openControlPool } from '../../shared/service/open-parts.ts';

/**
 * Connections that stay free while requests hold all others: one for the lookup of keys, the others for
 * probes, metrics and the sessions of open streams.
 */
const MAX_RESERVED_CONNECTIONS = 3;

const STATEMENT_MS = 5_000;

/** What comes later never comes: the network swallows it. The server ends a statement before. */
const ANSWER_MS = 6_000;

/** A pool on the control store that no customer's request takes a connection of. All that it is asked ends in seconds. */
export function openReservedPool(
  context: Parameters<typeof openControlPool>[0],
  config: BaseConfig<'controlUrl'>,
): pg.Pool {
  return openControlPool(context, config, 'api', {
    purpose: 'reserved',
    max: MAX_RESERVED_CONNECTIONS,
    statementTimeoutMs: STATEMENT_MS,
    answerTimeoutMs: ANSWER_MS,
  });
}
