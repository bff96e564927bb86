import { DatabaseError, type Pool } from 'pg';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { formatAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { readAccountTypes, spellAccount } from './account-spelling.ts';

export interface RespellerDeps {
  readonly pool: Pool;
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly log: Log;
}

/** Interval of the rounds: a column may get another type while the api runs. */
const ROUND_MS = 10 * 60_000;
/** Until the first round succeeds, the accounts keep the texts of the last run. */
const RETRY_MS = 5_000;
const PAGE = 200;

/**
 * Texts that every accepting type prints unchanged. Most accounts are such, so PostgreSQL need not be queried about
 * them.
 */
const PLAIN = /^(0|[1-9]\d{0,17}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/**
 * Gives each account its canonical text, if an earlier version stored another spelling or the account column has a new
 * type. Exports of such an account found its rows, but its changes were not recorded. So each of its resources gets a
 * `feed.reset` at its place in the feed, and changes_since can't start before that. Safe to repeat after a crash, and
 * to run in several processes at once.
 */
export async function respellAccounts({ pool, source, catalog, log }: RespellerDeps): Promise<void> {
  const types = await readAccountTypes(source, catalog);
  for (let afterId = ''; types.length > 0; ) {
    const page = await listSpellings(pool, afterId, PAGE);
    for (const account of page) {
      if (PLAIN.test(account.source_id)) continue;
      const spelling = await spellAccount(source, types, account.source_id);
      const said = { accountId: account.id, sourceId: account.source_id };
      if (spelling.kind === 'refused') log.error('account.not_spelled', { ...said, detail: spelling.detail });
      else if (spelling.text === account.source_id) continue;
      else if (await respell(pool, account, spelling.text))
        log.warn('account.respelled', {
          ...said,
          text: spelling.text,
          effect: 'its resources get a feed.reset',
        });
      else
        log.error('account.spelled_twice', {
          ...said,
          text: spelling.text,
          remedy:
            'another account has this text, so this account is refused: move the customer to the other account',
        });
    }
    afterId = page.at(-1)?.id ?? '';
    if (page.length < PAGE) break;
  }
  // After the text is committed, so that the reset finds the account wherever it is recorded.
  for (const { id, source_id: account } of await listRespelled(pool)) {
    const content = formatAccountReset({ account, resources: catalog.resources.map(({ name }) => name) });
    await source.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.account, content]);
    await recordResetSent(pool, id);
  }
}

export function createAccountRespeller(deps: RespellerDeps): Worker {
  return {
    name: 'account-respeller',
    run(signal) {
      const onFailed = (error: unknown) =>
        deps.log.warn('accounts.not_looked_at', { retryMs: RETRY_MS, error });
      return runRounds(
        () => respellAccounts(deps),
        { restMs: ROUND_MS, retryMs: RETRY_MS, onFailed },
        signal,
      );
    },
  };
}

export interface SpelledAccount {
  readonly id: string;
  readonly source_id: string;
}

/** Accounts after `afterId`, ordered by ID, without those that are known to be twins. */
async function listSpellings(db: Queryable, afterId: string, limit: number): Promise<SpelledAccount[]> {
  const { rows } = await db.query<SpelledAccount>(
    'select id, source_id from accounts where id > $1 and twin_of is null order by id limit $2',
    [afterId, limit],
  );
  return rows;
}

const UNIQUE_VIOLATION = '23505';

/**
 * Stores the account's text. The recorded start of its changes is no longer valid, and no feed may continue
 * from its exports: events are missing since then.
 *
 * @returns false when another account has the text
 */
export async function respell(
  db: Queryable,
  { id, source_id }: SpelledAccount,
  text: string,
): Promise<boolean> {
  try {
    await db.query(
      `update accounts set source_id = $3, respelled_from = source_id, recorded_from_lsn = null, recorded_from_at = null
       where id = $1 and source_id = $2`,
      [id, source_id, text],
    );
    return true;
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== UNIQUE_VIOLATION) throw error;
    await db.query(
      'update accounts set twin_of = (select id from accounts where source_id = $2) where id = $1',
      [id, text],
    );
    return false;
  }
}

/** Accounts whose `feed.reset` is not sent yet. */
async function listRespelled(db: Queryable): Promise<SpelledAccount[]> {
  const { rows } = await db.query<SpelledAccount>(
    'select id, source_id from accounts where respelled_from is not null order by id limit 1000',
  );
  return rows;
}

async function recordResetSent(db: Queryable, id: string): Promise<void> {
  await db.query('update accounts set respelled_from = null where id = $1', [id]);
}
