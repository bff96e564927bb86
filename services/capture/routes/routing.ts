import { childrenOf } from '../../../shared/catalog/check-account-paths.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import type { AccountSpellings, ParentAccounts } from '../changes/captured-table.ts';
import type { CaptureProgress } from '../publish/capture-progress.ts';
import { openRoutes, type RoutesSource } from './open-routes.ts';
import { createRecordAccounts, type LookupCounts, type RecordAccounts } from './record-accounts.ts';
import { createRouteStage, type RouteStage } from './route-stage.ts';

export interface RoutingDeps {
  readonly catalog: Catalog;
  readonly source: Queryable;
  readonly routes?: RoutesSource | undefined;
  readonly spellings: AccountSpellings;
  readonly log: Log;
}

export interface WatchedStage extends RouteStage {
  /** Removes what is no longer needed, until the signal aborts. */
  sweep(passedLsn: () => Lsn, signal: AbortSignal): Promise<void>;
}

/** Finds the accounts of records by their parents. */
export interface Routing {
  /** Of this session; undefined before `open`. */
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

const SWEEP_INTERVAL_MS = 600_000;
const SWEEP_AGAIN_MS = 2_000;

/** @returns undefined for a catalog in which no record has its parent's account */
export function createRouting({ catalog, source, routes, spellings, log }: RoutingDeps): Routing | undefined {
  if (routes === undefined || childrenOf(catalog).length === 0) return undefined;
  let accounts: RecordAccounts | undefined;
  return {
    counts: () => accounts?.counts,
    parents: {
      accountOf(...of) {
        if (accounts === undefined) throw new Error('the routes are not open');
        return accounts.accountOf(...of);
      },
    },
    async open(session, signal) {
      const opened = await openRoutes({ ...routes, ...session, catalog, log }, signal);
      accounts = createRecordAccounts(catalog, opened.read);
      const stage = createRouteStage({
        ...opened,
        ...session,
        catalog,
        accounts,
        spellings,
        loadTypes: () => loadTypes(source),
        async isPartitioned(relationId) {
          const { rowCount } = await source.query(
            `select from pg_class where oid = $1::oid and relkind = 'p'`,
            [relationId],
          );
          return rowCount === 1;
        },
      });
      return {
        ...stage,
        async sweep(passedLsn, until) {
          while (!until.aborted) {
            let isMore = false;
            try {
              isMore = await opened.sweep(passedLsn());
            } catch (error) {
              if (!until.aborted) log.warn('routes.sweep_failed', { error });
            }
            await sleep(isMore ? SWEEP_AGAIN_MS : SWEEP_INTERVAL_MS, until).catch(() => undefined);
          }
        },
      };
    },
  };
}
