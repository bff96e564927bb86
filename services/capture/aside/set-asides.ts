import type { ResetReason } from '../../../shared/domain/change.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';

/** `row_unencodable`: a row cannot be encoded. `table_unfit`: the table no longer fits the catalog. */
export type SetAsideReason = Extract<ResetReason, 'row_unencodable' | 'table_unfit'>;

/** A resource whose changes are skipped: they cannot be sent, and a stop would stop all other resources. */
export interface SetAside {
  readonly resource: string;
  readonly reason: SetAsideReason;
  /** For the operator: the column, the record's key and the remedy. No other value of the row. */
  readonly detail: string;
  /** Commit LSN of the transaction in which it began. */
  readonly commitLsn: Lsn;
  /** In that transaction, messages from this index on are skipped. */
  readonly fromIndex: number;
  readonly atMs: number;
  /** PostgreSQL texts of the row's key, to check the row again; null when the key cannot be queried. */
  readonly rowKey: readonly string[] | null;
  /** An export was sealed since the last message about this: its subscribers need a reminder. */
  readonly isRemindDue: boolean;
}

/**
 * The set-aside resources. The list is published with the feed's position, so that it survives a restart.
 *
 * **Invariant:** a skipped message takes exactly one index in its transaction, whatever it holds. So a transaction that
 * is streamed again gives every other change the same index.
 */
export interface SetAsides {
  find(resource: string): SetAside | undefined;
  /** Whether a message of this resource at this position is skipped. */
  isPassedOver(resource: string, commitLsn: Lsn, index: number): boolean;
  add(aside: SetAside): void;
  remove(resource: string): void;
  /** Records that an export was sealed. */
  recordSeal(): void;
  all(): readonly SetAside[];
}

export function createSetAsides(start: readonly SetAside[]): SetAsides {
  const asides = new Map(start.map((aside) => [aside.resource, aside]));
  return {
    find: (resource) => asides.get(resource),
    isPassedOver(resource, commitLsn, index) {
      const aside = asides.get(resource);
      if (aside === undefined) return false;
      return aside.commitLsn === commitLsn ? index >= aside.fromIndex : commitLsn > aside.commitLsn;
    },
    add: (aside) => void asides.set(aside.resource, aside),
    remove: (resource) => void asides.delete(resource),
    recordSeal() {
      for (const [resource, aside] of asides) asides.set(resource, { ...aside, isRemindDue: true });
    },
    all: () => [...asides.values()],
  };
}

/**
 * `refuse`: the table does not fit the catalog, which the stream may not show. `resume`: the resource is corrected.
 * `remind`: it is not corrected, and exports since the last reminder have to be told.
 */
export type AsideNews = 'refuse' | 'resume' | 'remind';

const NEWS: readonly unknown[] = ['refuse', 'resume', 'remind'] satisfies AsideNews[];

export interface AsideMessage {
  readonly resource: string;
  readonly news: AsideNews;
}

export async function sendAsideMessage(db: Queryable, { resource, news }: AsideMessage): Promise<void> {
  const content = JSON.stringify({ resource, news });
  await db.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.aside, content]);
}

/** @returns undefined for an invalid message, which anyone who may write to the database can send */
export function readAsideMessage(content: string): AsideMessage | undefined {
  try {
    const { resource, news } = JSON.parse(content) as { resource?: unknown; news?: unknown };
    if (typeof resource !== 'string' || !NEWS.includes(news)) return undefined;
    return { resource, news: news as AsideNews };
  } catch {
    return undefined;
  }
}
