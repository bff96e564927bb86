import type { ExportView } from '../../deploy/demo/api-client.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';

/** How often each thing is done; enough for a worst one to mean something. */
const REPEATED_EXPORTS = 20;
const DOWNLOADS = 50;

const EXPORT_LIMIT_MS = 60_000;

/**
 * What a small customer sees: how long their first export takes, which has to wait for the feed, how long any later one
 * takes, and when the first byte of a download comes. One at a time, with nothing else going on.
 */
export async function benchSmallExports(
  world: World,
  sourceIds: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const firstSeconds: number[] = [];
  const laterSeconds: number[] = [];
  let rows = 0;
  let customer: Customer | undefined;
  let view: ExportView | undefined;
  for (const sourceId of sourceIds) {
    customer = await world.createCustomer(sourceId);
    const first = await timedExport(customer, { resource: 'invoices', include_deleted: true });
    firstSeconds.push(first.seconds);
    rows = Math.max(rows, first.view.files?.[0]?.rows ?? 0);
  }
  if (customer === undefined) return;
  for (let run = 0; run < REPEATED_EXPORTS; run += 1) {
    const later = await timedExport(customer, { resource: 'invoices', include_deleted: true });
    laterSeconds.push(later.seconds);
    view = later.view;
  }
  say(`first export of an account, up to ${rows} invoices: ${medianAndWorst(firstSeconds, 's', 2)}`);
  say(`a later export of such an account: ${medianAndWorst(laterSeconds, 's', 2)}`);
  const url = view?.files?.[0]?.url;
  if (url === undefined) return;
  const firstByteMs: number[] = [];
  for (let run = 0; run < DOWNLOADS; run += 1) firstByteMs.push(await timeToFirstByte(url));
  say(`first byte of a download by its presigned URL: ${medianAndWorst(firstByteMs, 'ms', 1)}`);
}

/** From the request to the first answer that says `completed`. */
export async function timedExport(
  customer: Customer,
  body: object,
  limitMs: number = EXPORT_LIMIT_MS,
): Promise<{ view: ExportView; seconds: number }> {
  const startedMs = performance.now();
  const { id } = await customer.client.call<ExportView>('POST', '/exports', body);
  const view = await customer.client.completedExport(id, limitMs);
  return { view, seconds: (performance.now() - startedMs) / 1000 };
}

async function timeToFirstByte(url: string): Promise<number> {
  const startedMs = performance.now();
  const response = await fetch(url);
  const reader = response.body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  const tookMs = performance.now() - startedMs;
  if (!response.ok || value === undefined) throw new Error(`the download answered ${response.status}`);
  await reader?.cancel();
  return tookMs;
}

function medianAndWorst(values: readonly number[], unit: string, digits: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `median ${median.toFixed(digits)} ${unit}, worst ${(sorted.at(-1) ?? 0).toFixed(digits)} ${unit} of ${sorted.length}`;
}
