import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { seededRandom } from '../../deploy/demo/random.ts';
import { createReplica, linesOfBody, type Replica } from '../../deploy/demo/replica.ts';
import type { Customer } from '../../deploy/demo/world.ts';
import { DRAIN_LIMIT_MS, persistently } from './persistently.ts';

/** An export with its files loaded. */
export interface LoadedExport {
  readonly exportId: string;
  readonly replica: Replica;
  readonly kind: 'single' | 'chunked';
  readonly wasPaused: boolean;
  /** What is wrong with it. */
  readonly faults: readonly string[];
}

export type ExportKind = LoadedExport['kind'];

export interface ExportingOptions {
  readonly customer: Customer;
  /** Taken in turns. */
  readonly kinds: readonly ExportKind[];
  readonly seed: number;
}

/** Runs that are lost when all is read are begun again after 2, 8, 32 and 128 s. */
const COMPLETION_LIMIT_MS = DRAIN_LIMIT_MS + 180_000;

/** So that a chunked export takes some seconds, in which things break and rows change. */
const ROWS_PER_SECOND = 1_000;

/** A pause begins and ends within so long, and about every second chunked export has one. */
const MAX_PAUSE_AFTER_MS = 4_000;
const MAX_PAUSED_MS = 3_000;

/**
 * Takes one export after the other; each that was accepted before the end must
 * complete, however often services die.
 */
export async function keepExporting(
  { customer, kinds, seed }: ExportingOptions,
  signal: AbortSignal,
  onLoaded: (loaded: LoadedExport) => Promise<void>,
): Promise<void> {
  const random = seededRandom(seed);
  for (let n = 0; !signal.aborted; n += 1) {
    const kind = kinds[n % kinds.length] ?? 'single';
    const accepted = await create(customer, kind);
    const pausing =
      kind === 'chunked' && random() < 0.5 ? pauseOnce(customer, accepted.id, random) : undefined;
    const [finished, wasPaused = false] = await Promise.all([
      persistently(() => customer.client.completedExport(accepted.id, COMPLETION_LIMIT_MS)),
      pausing,
    ]);
    const { snapshot } = finished;
    await onLoaded({
      exportId: accepted.id,
      replica: await load(customer, finished),
      kind,
      wasPaused,
      faults:
        kind === 'single' || snapshot?.kind === kind
          ? []
          : [
              `${accepted.id}: a ${kind} export was asked for, and it is ${snapshot?.kind}: ${snapshot?.reason}`,
            ],
    });
    await delay(1_000, undefined, { signal }).catch(() => undefined);
  }
}

async function create(customer: Customer, kind: ExportKind): Promise<ExportView> {
  const body = {
    resources: ['customers', 'invoices', 'line_items'],
    ...(kind === 'chunked' ? { snapshot: kind, max_rows_per_second: ROWS_PER_SECOND } : {}),
  };
  const headers = { 'idempotency-key': randomUUID() };
  return persistently(() => customer.client.call<ExportView>('POST', '/exports', body, headers));
}

/** @returns false when the export had read everything by then */
async function pauseOnce({ client }: Customer, id: string, random: () => number): Promise<boolean> {
  await delay(random() * MAX_PAUSE_AFTER_MS);
  const isPaused = await persistently(async () => {
    try {
      await client.call('POST', `/exports/${id}/pause`);
      return true;
    } catch (error) {
      if (error instanceof Error && / returned 409: /.test(error.message)) return false;
      throw error;
    }
  });
  if (!isPaused) return false;
  await delay(random() * MAX_PAUSED_MS);
  await persistently(() => client.call('POST', `/exports/${id}/resume`));
  return true;
}

async function load(customer: Customer, { id, files }: ExportView): Promise<Replica> {
  const replica = createReplica();
  for (const file of files ?? []) {
    await persistently(async () => {
      const view = await customer.client.call<ExportView>('GET', `/exports/${id}`);
      const url = view.files?.find(({ name }) => name === file.name)?.url ?? '';
      // A download broken off by a kill starts again from nothing.
      const fresh = createReplica();
      const response = await fetch(url);
      if (!response.ok || response.body === null) throw new Error(`${file.name} answered ${response.status}`);
      const lines: string[] = [];
      for await (const line of linesOfBody(response.body, file.name)) lines.push(line);
      const count = await fresh.loadLines(file.resource, fromArray(lines), ['id']);
      if (count !== file.rows) throw new Error(`${file.name} holds ${count} rows of ${file.rows}`);
      await replica.loadLines(file.resource, fromArray(lines), ['id']);
    });
  }
  return replica;
}

async function* fromArray(lines: readonly string[]): AsyncIterable<string> {
  yield* lines;
}
