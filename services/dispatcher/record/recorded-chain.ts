import { StoreOlderError } from '../../../shared/control/restored-store.ts';
import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { ToldLoss } from './lost-changes.ts';

/**
 * `next`: it directly follows what was recorded. `repeat`: it was recorded before. `gap`: records are missing before
 * it.
 */
export type ChainVerdict = 'next' | 'repeat' | 'gap';

/**
 * How far each partition is recorded, by capture's own count.
 *
 * **Invariant:** it is saved before the offsets that belong to it, so the stored state is never behind what is read
 * next. Offsets may be committed after the group was joined again, so unsaved state survives a join: it stays true,
 * whichever process has the partition.
 */
export interface RecordedChain {
  /**
   * Stores, for each partition that was never read, that nothing of it is recorded, so that a loss of its first records
   * is noticed. Call it before a partition's first offset is committed.
   */
  begin(partitions: Iterable<number>): Promise<void>;
  /**
   * The later of the stored and the unsaved link; null when an earlier version, which did not count, recorded the
   * partition.
   */
  last(partition: number): Promise<ChainLink | null>;
  /**
   * Notes that everything up to this link is in the event log, or was reported as lost. What follows starts at
   * `nextOffset` or later.
   */
  note(partition: number, link: ChainLink, nextOffset: bigint): void;
  /**
   * The offsets from which to read these partitions at the latest. After a restore from a backup they are before the
   * group's committed offsets. Otherwise they differ only by records that are not counted, such as transaction markers.
   * A partition that is absent has no limit.
   */
  nextOffsets(partitions: Iterable<number>): Promise<ReadonlyMap<number, bigint>>;
  /**
   * Stores the place of a loss before it is reported. The resets and this count are not saved together, so after a
   * crash between the two the loss is found again. Its resets then get the same place, where they change nothing.
   *
   * @returns the loss as it was stored first, by any process
   */
  keepLoss(partition: number, loss: ToldLoss): Promise<ToldLoss>;
  /** The last stored loss, if it includes the records up to `through`. */
  findLoss(partition: number, through: ChainLink): Promise<ToldLoss | undefined>;
  /** @throws StoreOlderError when the store is older than what was saved here; then nothing is saved */
  save(): Promise<void>;
}

/** Stands for a partition of which nothing is recorded. It precedes the first link of every chain. */
const NOTHING: ChainLink = { chain: '', seq: 0 };

/** Compares a link with the last recorded one. */
export function classifyLink(last: ChainLink | null, link: ChainLink): ChainVerdict {
  if (last === null) return 'next';
  if (last.chain === NOTHING.chain) return link.seq === 1 ? 'next' : 'gap';
  if (link.chain !== last.chain) return link.chain > last.chain ? 'gap' : 'repeat';
  if (link.seq <= last.seq) return 'repeat';
  return link.seq === last.seq + 1 ? 'next' : 'gap';
}

function isLater(link: ChainLink, other: ChainLink | null): boolean {
  if (other === null) return true;
  return link.chain === other.chain ? link.seq > other.seq : link.chain > other.chain;
}

/** Saves nothing if one of the partitions is behind the state that this process knows to be stored ($5, $6). */
const SAVE = `
with said as (
  select * from unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
    as s (partition, chain, seq, next_offset, known_chain, known_seq)
), older as (
  select from said s left join recorded_chain r using (partition)
  where s.known_chain is not null
    and (r.partition is null or (r.chain, r.seq) < (s.known_chain collate "C", s.known_seq))
), saved as (
  insert into recorded_chain as r (partition, chain, seq, next_offset)
  select partition, chain, seq, next_offset from said where not exists (select from older)
  on conflict (partition) do update set chain = excluded.chain, seq = excluded.seq, next_offset = excluded.next_offset
  where (r.chain, r.seq) < (excluded.chain collate "C", excluded.seq)
)
select exists (select from older) as is_older`;

const BEGIN = `
insert into recorded_chain (partition, chain, seq, next_offset)
select partition, $2, $3, 0 from unnest($1::int[]) partition
on conflict (partition) do nothing`;

const KEEP_LOSS = `
update recorded_chain set loss_chain = $2, loss_seq = $3, loss_lsn = $4, loss_micros = $5
where partition = $1 and (loss_chain is null or (loss_chain, loss_seq) < ($2 collate "C", $3))`;

const FIND_LOSS = `
select loss_chain as chain, loss_seq::text as seq, loss_lsn::text as lsn, loss_micros::text as micros
from recorded_chain where partition = $1 and (loss_chain, loss_seq) >= ($2 collate "C", $3)`;

/** @param listRead the partitions with an offset that the group has committed */
export function createRecordedChain(
  db: Queryable,
  listRead: () => Promise<ReadonlySet<number>>,
): RecordedChain {
  const unsaved = new Map<number, { readonly link: ChainLink; readonly nextOffset: bigint }>();
  /** The links that this process last read or saved. */
  const known = new Map<number, ChainLink>();
  const begun = new Set<number>();

  const begin = async (partitions: Iterable<number>): Promise<void> => {
    const unknown = [...partitions].filter((partition) => !begun.has(partition));
    if (unknown.length === 0) return;
    const read = await listRead();
    const unread = unknown.filter((partition) => !read.has(partition));
    if (unread.length > 0) {
      await db.query({
        name: 'begin_recorded_chain',
        text: BEGIN,
        values: [unread, NOTHING.chain, NOTHING.seq],
      });
    }
    for (const partition of unknown) begun.add(partition);
  };

  const findLoss = async (partition: number, { chain, seq }: ChainLink): Promise<ToldLoss | undefined> => {
    const { rows } = await db.query<{ chain: string; seq: string; lsn: string; micros: string }>({
      name: 'find_loss',
      text: FIND_LOSS,
      values: [partition, chain, seq],
    });
    const [row] = rows;
    if (row === undefined) return undefined;
    const lsn = parseLsn(row.lsn);
    return {
      through: { chain: row.chain, seq: Number(row.seq) },
      place: { lsn, commitLsn: lsn, committedAtMicros: BigInt(row.micros) },
    };
  };

  return {
    begin,
    findLoss,
    async keepLoss(partition, loss) {
      const { through, place } = loss;
      await db.query({
        name: 'keep_loss',
        text: KEEP_LOSS,
        values: [
          partition,
          through.chain,
          through.seq,
          formatLsn(place.commitLsn),
          place.committedAtMicros.toString(),
        ],
      });
      return (await findLoss(partition, through)) ?? loss;
    },
    async last(partition) {
      await begin([partition]);
      const { rows } = await db.query<{ chain: string; seq: string }>({
        name: 'read_recorded_chain',
        text: 'select chain, seq::text from recorded_chain where partition = $1',
        values: [partition],
      });
      const [row] = rows;
      const stored = row === undefined ? null : { chain: row.chain, seq: Number(row.seq) };
      if (stored !== null) known.set(partition, stored);
      const waiting = unsaved.get(partition)?.link;
      return waiting !== undefined && isLater(waiting, stored) ? waiting : stored;
    },
    note: (partition, link, nextOffset) => void unsaved.set(partition, { link, nextOffset }),
    async nextOffsets(partitions) {
      await begin(partitions);
      const { rows } = await db.query<{ partition: number; next_offset: string }>({
        name: 'read_recorded_offsets',
        text: `select partition, next_offset::text from recorded_chain
                where partition = any($1) and next_offset is not null`,
        values: [[...partitions]],
      });
      return new Map(rows.map(({ partition, next_offset: offset }) => [partition, BigInt(offset)]));
    },
    async save() {
      if (unsaved.size === 0) return;
      const links = [...unsaved];
      const { rows } = await db.query<{ is_older: boolean }>({
        name: 'save_recorded_chain',
        text: SAVE,
        values: [
          links.map(([at]) => at),
          links.map(([, { link }]) => link.chain),
          links.map(([, { link }]) => link.seq),
          links.map(([, { nextOffset }]) => nextOffset.toString()),
          links.map(([at]) => known.get(at)?.chain ?? null),
          links.map(([at]) => known.get(at)?.seq ?? null),
        ],
      });
      if (rows[0]?.is_older === true) throw new StoreOlderError();
      for (const [partition, noted] of links) {
        if (isLater(noted.link, known.get(partition) ?? null)) known.set(partition, noted.link);
        if (unsaved.get(partition) === noted) unsaved.delete(partition);
      }
    },
  };
}
