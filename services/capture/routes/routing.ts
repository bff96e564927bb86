import { childrenOf, pathsFingerprint } from '../../../shared/catalog/check-account-paths.ts';
import { readPathState } from '../../../shared/catalog/path-state.ts';
import { readBrokenPaths } from '../../../shared/control/route-generations.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { sendAsideMessage } from '../aside/set-asides.ts';
import type { AccountSpellings, ParentAccounts } from '../changes/captured-table.ts';
import type { OidOf } from '../changes/fit-relation.ts';
import type { CaptureProgress } from '../publish/capture-progress.ts';
import { isPartitioned } from '../replication/source-queries.ts';
import { openRoutes, type RoutesSource, withoutBroken } from './open-routes.ts';
import { createRecordAccounts, type LookupCounts, type RecordAccounts } from './record-accounts.ts';
import { createRouteStage, type RouteStage } from './route-stage.ts';

export interface RoutingDeps {
  readonly catalog: Catalog;
  readonly source: Queryable;
  readonly routes?: RoutesSource | undefined;
  readonly spellings: AccountSpellings;
  readonly publicationName: string;
  readonly oidOf: OidOf;
  readonly log: Log;
}

export interface WatchedStage extends RouteStage {
  /** Checks until the signal aborts whether other paths can be followed now, and removes routes that are not needed. */
  watch(passedLsn: () => Lsn, signal: AbortSignal): Promise<void>;
}

/** Finds the accounts of records by their parents. */
export interface Routing {
  /** Totals of this session; undefined before `open`. */
  counts(): LookupCounts | undefined;
  /** Usable once `open` has returned. */
  readonly parents: ParentAccounts;
  open(
    session: {
      readonly progress: CaptureProgress;
      readonly isResumed: boolean;
      readonly widenXid: (xid: number) => bigint;
      readonly prepareReset: (resource: string) => Promise<void>;
    },
    signal: AbortSignal,
  ): Promise<WatchedStage>;
}

/** The interval at which tables are checked for changes without events. */
const WATCH_INTERVAL_MS = 2_000;
const SWEEP_INTERVAL_MS = 600_000;

/** @returns undefined for a catalog in which no record has its parent's account */
export function createRouting({
  catalog,
  source,
  routes,
  spellings,
  publicationName,
  oidOf,
  log,
}: RoutingDeps): Routing | undefined {
  if (routes === undefined || childrenOf(catalog).length === 0) return undefined;
  let accounts: RecordAccounts | undefined;
  let broken: ReadonlyMap<string, string> = new Map();
  return {
    counts: () => accounts?.counts,
    parents: {
      accountOf(...of) {
        if (accounts === undefined) throw new Error('the routes are not open');
        return accounts.accountOf(...of);
      },
      whyUnknown: (resource) => broken.get(resource),
    },
    async open(session, signal) {
      const state = await readPathState(source, catalog, publicationName);
      // The routes are right as long as no old row without an owner has come. Such a row discards them.
      const kept = await readBrokenPaths(routes.control, pathsFingerprint(catalog));
      const isFollowed = (name: string) => state.unsaid.has(name) && kept?.includes(name) === false;
      broken = new Map([...state.broken].filter(([name]) => !isFollowed(name)));
      for (const [resource, reason] of broken) {
        log.error('routes.path_broken', {
          resource,
          reason,
          effect: 'its changes are skipped, subscribers get feed.reset, and exports of it are refused',
          remedy: 'correct what reason names: the resource resumes by itself, with another feed.reset',
        });
        await sendAsideMessage(source, { resource, news: 'refuse' });
      }
      const names = [...broken.keys()];
      let isChanged = false;
      const opened = await openRoutes(
        { ...routes, ...session, catalog, broken: names, columns: state.columns, log },
        signal,
      );
      accounts = createRecordAccounts(catalog, opened.read);
      const stage = createRouteStage({
        ...opened,
        ...session,
        catalog,
        sound: withoutBroken(catalog, names),
        arePathsChanged: () => isChanged,
        accounts,
        spellings,
        loadTypes: (oids) => loadTypes(source, oids),
        oidOf,
        isPartitioned: (relationId) => isPartitioned(source, relationId),
      });
      return {
        ...stage,
        async watch(passedLsn, until) {
          let sweptAtMs = 0;
          while (!until.aborted) {
            try {
              const now = await readPathState(source, catalog, publicationName);
              const broke = [...now.broken.keys()].filter((name) => !now.unsaid.has(name));
              isChanged =
                now.columns !== state.columns ||
                names.some((name) => !now.broken.has(name)) ||
                broke.some((name) => !broken.has(name));
              if (Date.now() - sweptAtMs > SWEEP_INTERVAL_MS) {
                sweptAtMs = (await opened.sweep(passedLsn())) ? 0 : Date.now();
              }
            } catch (error) {
              if (!until.aborted) log.warn('routes.watch_failed', { error });
            }
            await sleep(WATCH_INTERVAL_MS, until).catch(() => undefined);
          }
        },
      };
    },
  };
}
