import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { ResetReason } from '../../../shared/domain/reset-reason.ts';

/** `row_unencodable`: one row has no form in the feed. `table_unfit`: the table and the catalog no longer go together. */
export type SetAsideReason = Extract<ResetReason, 'row_unencodable' | 'table_unfit'>;

/** A resource whose changes are passed over, because going on with them is not possible and stopping would stop all others. */
export interface SetAside {
  readonly resource: string;
  readonly reason: SetAsideReason;
  /** For the operator: the column, the record's key and what mends it. No other value of the row. */
  readonly detail: string;
  /** Of the transaction in which it began. */
  readonly commitLsn: Lsn;
  /** In that transaction, messages whose first place is this one or a later one are passed over. */
  readonly fromIndex: number;
  readonly atMs: number;
  /** PostgreSQL texts of the row's key, to look at it again; null when it has none that can be asked for. */
  readonly rowKey: readonly string[] | null;
  /** An export was sealed since this was told last: whoever goes on from it has to be told again. */
  readonly isRemindDue: boolean;
}

/**
 * The resources that are set aside. The list is published with the feed's position, so a restart goes on with it.
 *
 * **Invariant:** a message that is passed over takes exactly one place in its transaction, whatever it holds. So a transaction
 * that is streamed again gives every other change the place that it had.
 */
export interface SetAsides {
  find(resource: string): SetAside | undefined;
  /** Whether a message of this resource that would begin at this place is passed over. */
  isPassedOver(resource: string, commitLsn: Lsn, index: number): boolean;
  add(aside: SetAside): void;
  remove(resource: string): void;
  /** An export was sealed. */
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
