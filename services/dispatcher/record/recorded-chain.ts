import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChainLink } from '../../../shared/protocol/chain-link.ts';

/** `next`: nothing is between it and what was recorded. `repeat`: it was recorded before. `gap`: records are missing before it. */
export type ChainVerdict = 'next' | 'repeat' | 'gap';

/**
 * How far each partition is recorded by capture's own count.
 *
 * **Invariant:** it is saved before the offsets that belong to it, so what is stored is never behind what will be read next. Offsets
 * that are noted may be committed after the group was joined again, so what is not saved outlives that: it is a fact, whoever
 * has the partition now.
 */
export interface RecordedChain {
  /** The later of what is stored and what is not saved yet; null when nothing was ever recorded by this count. */
  last(partition: number): Promise<ChainLink | null>;
  /** Everything up to this link is in the event log, or was told as lost. */
  note(partition: number, link: ChainLink): void;
  save(): Promise<void>;
}

/** What a link says when `last` was recorded last. */
export function judgeLink(last: ChainLink | null, link: ChainLink): ChainVerdict {
  if (last === null) return 'next';
  if (link.chain !== last.chain) return link.chain > last.chain ? 'gap' : 'repeat';
  if (link.seq <= last.seq) return 'repeat';
  return link.seq === last.seq + 1 ? 'next' : 'gap';
}

function isLater(link: ChainLink, other: ChainLink | null): boolean {
  if (other === null) return true;
  return link.chain === other.chain ? link.seq > other.seq : link.chain > other.chain;
}

const SAVE = `
insert into recorded_chain as r (partition, chain, seq)
select * from unnest($1::int[], $2::text[], $3::bigint[])
on conflict (partition) do update set chain = excluded.chain, seq = excluded.seq
where (r.chain, r.seq) < (excluded.chain collate "C", excluded.seq)`;

export function createRecordedChain(db: Queryable): RecordedChain {
  const unsaved = new Map<number, ChainLink>();

  return {
    async last(partition) {
      const { rows } = await db.query<{ chain: string; seq: string }>({
        name: 'read_recorded_chain',
        text: 'select chain, seq::text from recorded_chain where partition = $1',
        values: [partition],
      });
      const [row] = rows;
      const stored = row === undefined ? null : { chain: row.chain, seq: Number(row.seq) };
      const waiting = unsaved.get(partition);
      return waiting !== undefined && isLater(waiting, stored) ? waiting : stored;
    },
    note: (partition, link) => void unsaved.set(partition, link),
    async save() {
      if (unsaved.size === 0) return;
      const links = [...unsaved];
      await db.query({
        name: 'save_recorded_chain',
        text: SAVE,
        values: [
          links.map(([at]) => at),
          links.map(([, { chain }]) => chain),
          links.map(([, { seq }]) => seq),
        ],
      });
      for (const [partition, link] of links) {
        if (unsaved.get(partition) === link) unsaved.delete(partition);
      }
    },
  };
}
