import { setTimeout as delay } from 'node:timers/promises';
import { type Customer, openWorld } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

/** What the bench reads of answers. */
interface Job {
  job_id: string;
  status: string;
  succeeded: number;
  failed: number;
  total: number;
}
interface Page {
  data: unknown[];
  has_more: boolean;
  next_cursor: string | null;
}

const WORKERS = 2;
const LINES_A_PIECE = 10_000;
const PAGE_ITEMS = 1_000;

/** Pages at the beginning and at the end of the results whose times are compared. */
const COMPARED_PAGES = 100;

/** A file of twice as many IDs as there are invoices, so that half of them name none: upload, list, work, and all results by pages. */
export async function benchBulkFile(options: BenchOptions): Promise<void> {
  const { say, rows } = options;
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows,
    accounts: 1,
    services: { api: 1, bulk: WORKERS },
    // Nobody reads the slot here, which is no reason to go slower.
    env: { BULK_MAX_CHUNKS: '1', BULK_MAX_SLOT_LAG_MB: '1000000' },
    log: options.log,
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const meter = startMeter(world.services, options.parts);
  const startedMs = performance.now();
  const secondsNow = () => (performance.now() - startedMs) / 1000;
  const fileId = await upload(world.apiUrl, customer, 2 * rows);
  const uploadedSeconds = secondsNow();
  const { job_id: id } = await customer.client.call<Job>('POST', '/bulk/operations', {
    resource: 'invoices',
    operation: 'update',
    async: true,
    file_id: fileId,
    params: { memo: 'changed by file' },
  });
  let job = await customer.client.call<Job>('GET', `/bulk/operations/${id}`);
  while (!['completed', 'failed', 'cancelled'].includes(job.status)) {
    await delay(100);
    job = await customer.client.call<Job>('GET', `/bulk/operations/${id}`);
  }
  const seconds = secondsNow();
  say(
    `file of ${2 * rows} IDs: uploaded in ${uploadedSeconds.toFixed(1)} s; ${job.succeeded} succeeded and ${job.failed} failed, ` +
      `${job.status} after ${seconds.toFixed(1)} s; ${machineLoad()}`,
  );
  for (const line of usageLines(meter.stop(), job.total)) say(line);
  const { count, tookMs } = await readPages(customer, id);
  say(`${count} results in pages of ${PAGE_ITEMS}:`);
  say(`    the first ${COMPARED_PAGES} pages: ${distribution(tookMs.slice(0, COMPARED_PAGES))}`);
  say(`    the last ${COMPARED_PAGES} pages: ${distribution(tookMs.slice(-COMPARED_PAGES))}`);
}

async function upload(apiUrl: string, { key }: Customer, lines: number): Promise<string> {
  function* pieces() {
    for (let first = 1; first <= lines; first += LINES_A_PIECE) {
      const count = Math.min(LINES_A_PIECE, lines - first + 1);
      yield Array.from({ length: count }, (_, index) => `${first + index}\n`).join('');
    }
  }
  const response = await fetch(`${apiUrl}/bulk/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain' },
    body: ReadableStream.from(pieces()).pipeThrough(new TextEncoderStream()),
    duplex: 'half',
  });
  if (!response.ok) throw new Error(`POST /bulk/files answered ${response.status}: ${await response.text()}`);
  return ((await response.json()) as { file_id: string }).file_id;
}

async function readPages({ client }: Customer, id: string): Promise<{ count: number; tookMs: number[] }> {
  const tookMs: number[] = [];
  let count = 0;
  for (let cursor = ''; ; ) {
    const startedMs = performance.now();
    const path = `/bulk/operations/${id}/results?limit=${PAGE_ITEMS}${cursor}`;
    const page = await client.call<Page>('GET', path);
    tookMs.push(performance.now() - startedMs);
    count += page.data.length;
    if (page.next_cursor === null) return { count, tookMs };
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}
