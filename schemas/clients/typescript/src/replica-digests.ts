import { BUCKETS, bucketOf, DigestSum, digestOf } from './record-digest.ts';
import { type Hold, lostHold } from './replica-hold.ts';
import type { Change } from './replica-load.ts';
import { isHeldBy } from './replica-state.ts';

const SCAN_ROWS = 500;

/** Own digests of a resource at the cut. */
export interface OwnDigests {
  readonly total: DigestSum;
  readonly buckets: readonly DigestSum[];
  /** Digest by key, of the buckets that were asked for. */
  readonly listed: Map<string, string>;
}

/**
 * Digests the records of a resource, page by page, while events are held.
 *
 * @param wanted buckets whose records are listed; null: none
 * @throws ReplicaError when the hold is over
 */
export async function digestOwn(
  change: Change,
  hold: Hold,
  resource: string,
  wanted: readonly number[] | null,
  report: (rows: number) => void,
): Promise<OwnDigests> {
  const total = new DigestSum();
  const buckets = Array.from({ length: BUCKETS }, () => new DigestSum());
  const listed = new Map<string, string>();
  for (let after: string | undefined; ; ) {
    let page: readonly { readonly key: string; readonly data: string }[] = [];
    await change(async (transaction, now) => {
      if (now === undefined || !isHeldBy(now, hold.id) || now.loading !== undefined) throw lostHold();
      page = await transaction.scan(now.shown, resource, after, SCAN_ROWS);
      return undefined;
    });
    for (const { key, data } of page) {
      const [bucket, digest] = await Promise.all([bucketOf(key), digestOf(data)]);
      total.add(digest);
      buckets[bucket]?.add(digest);
      if (wanted?.includes(bucket) === true) listed.set(key, digest);
    }
    report(total.rows);
    after = page.at(-1)?.key;
    if (after === undefined) return { total, buckets, listed };
    await hold.renew();
  }
}
