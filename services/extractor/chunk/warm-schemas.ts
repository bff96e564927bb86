import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { ResourceRowsSource } from '../plan/resource-rows.ts';
import type { OpenSourceSession } from '../source/source-session.ts';

export interface SchemaWarmerDeps {
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly resourceRows: ResourceRowsSource;
  readonly log: Log;
}

const STATEMENT_TIMEOUT_MS = 30_000;

/** Limit of how long this delays readiness. If the registry is unavailable, exports wait for it and report it. */
const READY_WITHIN_MS = 20_000;

/**
 * Registers the schema of every resource at the start, so that the first export of a large catalog does not wait for
 * hundreds of registrations. The export that needs a schema tries a failed registration again.
 */
export function createSchemaWarmer({ openSession, catalog, resourceRows, log }: SchemaWarmerDeps): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();

  async function warm(): Promise<void> {
    await using session = await openSession({
      purpose: 'schemas',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      onLost: () => undefined,
    });
    await resourceRows.ofAll('start', catalog.resources, session, catalog.resources);
  }

  return {
    name: 'schema-warmer',
    ready,
    async run(signal) {
      const timer = setTimeout(markReady, READY_WITHIN_MS);
      await Promise.race([
        warm().catch((error: unknown) => log.warn('schemas.not_registered', { error })),
        new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
      ]);
      clearTimeout(timer);
      markReady();
      // The process continues without it. A worker that returns would end the process.
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  };
}
