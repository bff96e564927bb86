import { expect, test } from 'vitest';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import { parseSnapshot } from '../../../shared/domain/snapshot.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { startVirtualTime } from '../../../test/simulation/virtual-time.ts';
import { createFeedStateReader } from '../store/feed-state.ts';
import { createFeedWatch } from './await-feed.ts';
import { sealRun } from './run-parts.ts';

const IDENTITY = { systemId: '7', timeline: 1 };
const CLAIM = { id: 'exp_1', runAttempt: 1, owner: 'one', resources: [] };
const SEEN = { snapshot: parseSnapshot('5:9:7'), lsn: '0/10', takenAt: '2026-01-01T00:00:00Z' };

/** A source whose WAL grows with each seal, and a feed that has come so far. */
function setUp() {
  const seals: string[] = [];
  let [insertLsn, feedLsn] = [100n, 0n];
  const sealing = {
    identity: IDENTITY,
    backendPid: '1',
    async query(text: string, values?: readonly unknown[]) {
      if (text.includes('pg_logical_emit_message')) {
        seals.push(String(values?.[1]));
        insertLsn += 100n;
      }
      const row = { lsn: formatLsn(insertLsn), pid: '1' };
      return { rows: text.includes('lsn') ? [row] : [{ pid: '1' }], rowCount: 1 };
    },
  };
  const control = {
    async query(config: { name?: string } | string) {
      const isState = typeof config === 'object' && config.name === 'read_feed_state';
      const lsn = formatLsn(feedLsn);
      const row = { settled_lsn: lsn, passed_lsn: lsn, system_id: '7', timeline: 1 };
      return { rows: isState ? [row] : [], rowCount: 1 };
    },
  };
  return {
    seals,
    sealing: sealing as never,
    control: control as never,
    feedComesTo(lsn: bigint) {
      feedLsn = lsn;
    },
  };
}

test('a seal that does not arrive is sent again, once the feed has been past it for twenty seconds', async () => {
  using time = startVirtualTime();
  const { seals, sealing, control, feedComesTo } = setUp();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (event: string) => void warnings.push(event) };
  const feed = createFeedWatch(IDENTITY, 3_600_000, () => time.nowMs);
  const snapshot = { seen: SEEN, startLsn: 1n, tableForms: {} };
  const isUnsealed = await sealRun(CLAIM as never, sealing, snapshot, feed, {
    control,
    catalog: { resources: [] } as never,
    readFeedState: createFeedStateReader(control),
    log,
  });
  const waits = () => isUnsealed({ isSealed: false, isMirrored: false } as never);
  expect(seals).toHaveLength(1);
  // Behind it, however long.
  feedComesTo(150n);
  expect(await waits()).toBe(true);
  await time.advance(60_000);
  expect(await waits()).toBe(true);
  expect(seals).toHaveLength(1);

  feedComesTo(200n);
  expect(await waits()).toBe(true);
  await time.advance(19_999);
  expect(await waits()).toBe(true);
  expect(seals).toHaveLength(1);
  await time.advance(1);
  expect(await waits()).toBe(true);
  expect(seals).toHaveLength(2);
  expect(seals[1]).toBe(seals[0]);
  expect(warnings).toEqual(['seal.sent_again']);
  // The second one has its twenty seconds too, from where it is.
  await time.advance(60_000);
  expect(await waits()).toBe(true);
  expect(seals).toHaveLength(2);
  expect(await isUnsealed({ isSealed: true, isMirrored: false } as never)).toBe(true);
  expect(await isUnsealed({ isSealed: true, isMirrored: true } as never)).toBe(false);
});
