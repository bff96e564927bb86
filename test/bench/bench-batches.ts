import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { startMeter, usageLines } from './usage-table.ts';

const BATCH = { max_events: 500, max_wait_ms: 100 };
const DRAIN_LIMIT_MS = 120_000;

export interface BatchBench {
  readonly world: World;
  readonly customer: Customer;
  /** Writes this many changes of the customer's records. */
  readonly burst: { readonly count: number; readonly write: () => Promise<void> };
  /** Events of the customer that are in the log, and a moment before them. */
  readonly logged: { readonly count: number; readonly since: Date };
  readonly parts: Readonly<Record<string, number>>;
  readonly say: (line: string) => void;
}

/** Events a second in batches to one endpoint: those that are in the log, then a burst from its writing on. Other endpoints are paused. */
export async function benchBatches(bench: BatchBench): Promise<void> {
  const { world, burst, logged, say } = bench;
  const { client } = bench.customer;
  const list = await client.call<{ data: { id: string }[] }>('GET', '/webhooks');
  for (const { id } of list.data) await client.call('POST', `/webhooks/${id}/pause`);
  await using receiver = await openBatchReceiver();

  const measure = async (what: string, count: number, cause: () => Promise<unknown>) => {
    receiver.reset();
    const meter = startMeter(world.services, bench.parts);
    const startedMs = performance.now();
    await cause();
    await receiver.until(count);
    const seconds = (performance.now() - startedMs) / 1_000;
    say(
      `${what}: ${count} events to one endpoint in ${receiver.requestCount} batches of at most ${BATCH.max_events} ` +
        `after ${seconds.toFixed(1)} s (${Math.round(count / seconds)}/s)`,
    );
    for (const line of usageLines(meter.stop(), count)) say(line);
  };

  await measure('from the event log', logged.count, () =>
    client.call('POST', '/webhooks', {
      url: receiver.url,
      events: ['*'],
      start: { since: logged.since.toISOString() },
      batch: BATCH,
    }),
  );
  await measure('from a transaction’s begin', burst.count, burst.write);
}

interface BatchReceiver extends AsyncDisposable {
  readonly url: string;
  readonly requestCount: number;
  reset(): void;
  /** Resolves once so many events have come. */
  until(count: number): Promise<void>;
}

/** Counts events by a mark that each has once, because taking every text apart would be measured too. */
async function openBatchReceiver(): Promise<BatchReceiver> {
  let requestCount = 0;
  let eventCount = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requestCount += 1;
      eventCount += countOf(Buffer.concat(chunks), EVENT_MARK);
      response.writeHead(204).end();
    });
    request.on('error', () => undefined);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/batches`,
    get requestCount() {
      return requestCount;
    },
    reset() {
      requestCount = 0;
      eventCount = 0;
    },
    async until(count) {
      const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
      while (eventCount < count) {
        if (performance.now() > deadlineMs) {
          throw new Error(`of ${count} events ${eventCount} came in batches within ${DRAIN_LIMIT_MS} ms`);
        }
        await delay(5);
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const EVENT_MARK = Buffer.from('"transaction":{"id":"');

function countOf(text: Buffer, mark: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + mark.length)) count += 1;
  return count;
}
