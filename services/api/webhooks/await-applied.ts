import type { Pool } from 'pg';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { isApplied } from './store.ts';

/** A dispatcher that does not react has lost its endpoints by then. */
const LIMIT_MS = 10_000;
const POLL_MS = 25;

/**
 * Waits until the dispatcher that holds an endpoint works by what is stored now, so that no request by the old settings
 * starts after the answer.
 */
export async function awaitApplied(pool: Pool, webhookId: string): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  while (!(await isApplied(pool, webhookId)) && performance.now() < deadlineMs) await sleep(POLL_MS);
}
