import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import {
  announceIdentities,
  isPublished,
  readTableIdentities,
  type TableIdentities,
} from './table-identities.ts';

/** How long the feed may lack a table before it is noticed. The look reads a few catalog rows. */
const LOOK_INTERVAL_MS = 2_000;

export interface TableWatch {
  readonly db: Queryable;
  readonly catalog: Catalog;
  readonly publicationName: string;
  /** As the feed has been told, with its last state. */
  readonly known: () => TableIdentities;
  /** Takes a table that was never seen for what it is now. */
  readonly adopt: (resource: string, identity: string) => void;
  readonly log: Log;
}

/**
 * Looks until the signal aborts whether each resource's table is still the one that the feed speaks of. One that is not
 * is announced in the WAL; when that comes by, the feed of the resource begins anew. A look that fails is tried again.
 */
export async function watchTables(watch: TableWatch, signal: AbortSignal): Promise<void> {
  const announced = new Map<string, string>();
  while (!signal.aborted) {
    try {
      await look(watch, announced);
    } catch (error) {
      if (!signal.aborted) watch.log.warn('tables.look_failed', { error });
    }
    await sleep(LOOK_INTERVAL_MS, signal);
  }
}

async function look(
  { db, catalog, publicationName, known, adopt, log }: TableWatch,
  announced: Map<string, string>,
): Promise<void> {
  const found = await readTableIdentities(db, catalog, publicationName);
  const before = known();
  const changed = new Map<string, string>();
  for (const [resource, identity] of found) {
    const knownIdentity = before.get(resource);
    if (knownIdentity === undefined) adopt(resource, identity);
    else if (identity !== knownIdentity && identity !== announced.get(resource))
      changed.set(resource, identity);
  }
  if (changed.size === 0) return;
  await announceIdentities(db, changed);
  for (const [resource, identity] of changed) {
    announced.set(resource, identity);
    log[isPublished(identity) ? 'warn' : 'error']('table.replaced', {
      resource,
      isPublished: isPublished(identity),
      remedy: isPublished(identity)
        ? 'none: subscribers are told feed.reset and need a new export'
        : 'run `tandem source prepare`; until then no change of it comes by, and subscribers are told when it is done',
    });
  }
}
