import type { Pool } from 'pg';
import { ACCOUNT_RESET_PREFIX, formatAccountReset } from '../../../shared/domain/account-reset.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { readAccountTypes, spellAccount } from './account-spelling.ts';
import { listRespelled, listSpellings, noteTold, respell } from './account-spellings.ts';

export interface RespellerDeps {
  readonly pool: Pool;
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly log: Log;
}

/** A column may get another type while the api runs. */
const ROUND_MS = 10 * 60_000;
/** Until the first look has succeeded the accounts are as they were left. */
const RETRY_MS = 5_000;
const PAGE = 200;

/** Texts that every type writes as they are, if it takes them at all: most accounts, which PostgreSQL need not be asked about. */
const PLAIN = /^(0|[1-9]\d{0,17}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/**
 * Gives accounts that an earlier version took in any spelling, or whose column has got another type, their one text. Their
 * exports found rows, and no change of these was recorded: so each of their resources gets a `feed.reset` in its place in
 * the feed, which also keeps changes_since from starting before it. Safe to repeat after a crash at any line, and by several at once.
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
    await source.query('select pg_logical_emit_message(true, $1, $2)', [ACCOUNT_RESET_PREFIX, content]);
    await noteTold(pool, id);
  }
}

export function createAccountRespeller(deps: RespellerDeps): Worker {
  return {
    name: 'account-respeller',
    async run(signal) {
      while (!signal.aborted) {
        let waitMs = ROUND_MS;
        try {
          await respellAccounts(deps);
        } catch (error) {
          waitMs = RETRY_MS;
          deps.log.warn('accounts.not_looked_at', { retryMs: RETRY_MS, error });
        }
        await sleep(waitMs, signal);
      }
    },
  };
}
