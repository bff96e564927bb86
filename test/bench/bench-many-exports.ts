import { setTimeout as delay } from 'node:timers/promises';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import type { Customer } from '../../deploy/demo/world.ts';
import { type BenchOptions, openExportWorld } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startBenchMeter, usageLines } from './usage-table.ts';

const ACCOUNTS = 20;
const ACCOUNT_ROWS = 100;
const EXPORTS = 1_000;
/** Exports that an account has under way: as many as one may run at once. */
const UNDER_WAY = 3;
/** Each customer looks at all of its exports together. More often, and most of the machine would be busy with the answers. */
const LOOK_MS = 250;
const PAGE = 4 * UNDER_WAY;
const LIMIT_MS = 600_000;

/** A thousand exports of small accounts side by side. */
export async function benchManyExports(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using world = await openExportWorld(
    { ...options, rows: ACCOUNT_ROWS },
    { accounts: ACCOUNTS, rows: ACCOUNT_ROWS },
  );
  const customers: Customer[] = [];
  for (const sourceId of world.generated.accounts.slice(1))
    customers.push(await world.createCustomer(sourceId));
  for (const each of customers) await timedExport(each, { resource: 'invoices' }, LIMIT_MS);
  say('once before anything is measured, while processes still compile');
  await runExports(customers, EXPORTS / 5);
  const meter = startBenchMeter(world.services, options.parts);
  const startedMs = performance.now();
  const tookMs = await runExports(customers, EXPORTS);
  const seconds = (performance.now() - startedMs) / 1_000;
  say(
    `${tookMs.length} exports of ${ACCOUNTS} accounts of some ${ACCOUNT_ROWS} rows, ${UNDER_WAY} at once for each: ` +
      `${Math.round((tookMs.length / seconds) * 60)} a minute, each ${distribution(tookMs)}; ${machineLoad()}`,
  );
  for (const line of usageLines(meter.stop(), tookMs.length)) say(line);
}

/** @returns how long each took, from its request to the look that found it completed, in milliseconds */
async function runExports(customers: readonly Customer[], count: number): Promise<number[]> {
  const tookMs: number[] = [];
  let begun = 0;
  const serve = async ({ client }: Customer): Promise<void> => {
    const underWay = new Map<string, number>();
    for (;;) {
      while (underWay.size < UNDER_WAY && begun < count) {
        begun += 1;
        const startedMs = performance.now();
        const { id } = await client.call<ExportView>('POST', '/exports', { resource: 'invoices' });
        underWay.set(id, startedMs);
      }
      if (underWay.size === 0) return;
      await delay(LOOK_MS);
      const { data } = await client.call<{ data: ExportView[] }>('GET', `/exports?limit=${PAGE}`);
      for (const [id, startedMs] of [...underWay]) {
        const found = data.find((each) => each.id === id);
        // One that was overtaken by many is on a later page.
        const { status } = found ?? (await client.call<ExportView>('GET', `/exports/${id}`));
        if (['pending', 'running'].includes(status)) continue;
        if (status !== 'completed') throw new Error(`export ${id} ended ${status}`);
        tookMs.push(performance.now() - startedMs);
        underWay.delete(id);
      }
    }
  };
  await Promise.all(customers.map(serve));
  return tookMs;
}
