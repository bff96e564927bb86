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

/** For so long the process is not ready for it. A registry that is away is waited for by exports, and told by them. */
const READY_WITHIN_MS = 20_000;

/**
 * Registers the schema of every resource once, when the process starts, so that the first export of a large catalog does not
 * wait for hundreds of registrations. What can't be registered here is tried again by the export that needs it.
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
      // The process goes on without it; a worker that returns would end it.
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  };
}
