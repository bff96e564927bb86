import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../deploy/demo/random.ts';
import type { BulkJob } from '../../deploy/demo/run-bulk.ts';
import type { Customer } from '../../deploy/demo/world.ts';
import { DRAIN_LIMIT_MS, persistently } from './persistently.ts';

const POLL_MS = 200;

export interface ChangingOptions {
  readonly customer: Customer;
  /** IDs of invoices there were at the start: from 1 to this. */
  readonly rows: number;
  readonly seed: number;
}

/**
 * Runs one bulk operation after the other over a random stretch of the invoices, each of which sets a column again, so that each
 * item that succeeds is one change. Every job that was accepted before the end must come to its end.
 */
export async function keepChanging(
  { customer, rows, seed }: ChangingOptions,
  signal: AbortSignal,
  onEnded: (job: BulkJob) => void,
): Promise<void> {
  const random = seededRandom(seed);
  for (let n = 1; !signal.aborted; n += 1) {
    const from = 1 + Math.floor(random() * rows);
    const body = {
      resource: 'invoices',
      operation: 'update',
      async: true,
      filter: { and: [{ id: { gte: from } }, { id: { lt: from + rows / 4 } }] },
      params: { memo: `changed in bulk, ${n}` },
    };
    const headers = { 'idempotency-key': randomUUID() };
    const { job_id: id } = await persistently(() =>
      customer.client.call<BulkJob>('POST', '/bulk/operations', body, headers),
    );
    onEnded(await untilEnded(customer, id));
    await delay(500, undefined, { signal }).catch(() => undefined);
  }
}

async function untilEnded({ client }: Customer, id: string): Promise<BulkJob> {
  const deadlineMs = Date.now() + 2 * DRAIN_LIMIT_MS;
  for (;;) {
    const job = await persistently(() => client.call<BulkJob>('GET', `/bulk/operations/${id}`));
    if (['completed', 'failed', 'cancelled'].includes(job.status) || Date.now() > deadlineMs) return job;
    await delay(POLL_MS);
  }
}

/** What is wrong with a job: that it did not complete, its counts, or that the feed has not one change for each item that succeeded. */
export function jobFaults(job: BulkJob, changesOfJob: number): string[] {
  const { job_id: id, status, processed, succeeded, failed, skipped, total } = job;
  const faults: string[] = [];
  if (status !== 'completed') faults.push(`is ${status}`);
  if (processed !== total || processed !== succeeded + failed + skipped) faults.push(JSON.stringify(job));
  if (changesOfJob !== succeeded)
    faults.push(`${succeeded} items succeeded, ${changesOfJob} changes name it`);
  return faults.map((fault) => `${id}: ${fault}`);
}
