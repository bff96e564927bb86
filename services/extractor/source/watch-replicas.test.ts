import { expect, test } from 'vitest';
import { createReplicaLag } from './watch-replicas.ts';

function createServers(replicaCount: number) {
  const servers = {
    nowMs: 1_000_000,
    written: 0n,
    replayed: Array.from({ length: replicaCount }, () => 0n),
    isAway: false,
  };
  const failed: number[] = [];
  const lag = createReplicaLag({
    primary: async () => servers.written,
    replicas: servers.replayed.map((_, index) => async () => {
      if (servers.isAway && index === 0) throw new Error('away');
      return servers.replayed[index] ?? 0n;
    }),
    now: () => servers.nowMs,
    onFailed: (replica) => failed.push(replica),
  });
  const after = async (
    ms: number,
    change: Partial<Pick<typeof servers, 'written' | 'isAway'>> & { replayed?: bigint[] } = {},
  ) => {
    servers.nowMs += ms;
    const { replayed = servers.replayed, ...rest } = change;
    Object.assign(servers, rest);
    servers.replayed.splice(0, replayed.length, ...replayed);
    await lag.look();
    return lag.seconds();
  };
  return { after, failed, lag };
}

test('a replica is late since the primary had what it lacks, and not while the primary writes nothing', async () => {
  const { after } = createServers(2);
  expect(await after(5_000)).toEqual([0, 0]);
  expect(await after(5_000, { written: 100n, replayed: [100n, 0n] })).toEqual([0, 5]);
  expect(await after(5_000, { written: 200n, replayed: [150n, 0n] })).toEqual([5, 10]);
  expect(await after(5_000, { written: 200n, replayed: [200n, 100n] })).toEqual([0, 10]);
  expect(await after(60_000, { replayed: [200n, 200n] })).toEqual([0, 0]);
  expect(await after(60_000)).toEqual([0, 0]);
});

test('a replica that does not respond is ever later, and others are not', async () => {
  const { after, failed } = createServers(2);
  expect(await after(5_000)).toEqual([0, 0]);
  expect(await after(5_000, { isAway: true })).toEqual([5, 0]);
  expect(await after(5_000)).toEqual([10, 0]);
  expect(failed).toEqual([0, 0]);
  expect(await after(5_000, { isAway: false })).toEqual([0, 0]);
});

test('the lag of a replica that stands still for a day is still known', async () => {
  const { after } = createServers(1);
  let written = 0n;
  await after(0);
  for (let look = 1; look <= 17_280; look += 1) {
    written += 1n;
    await after(5_000, { written });
  }
  expect(await after(0)).toEqual([86_400]);
  const [seconds = 0] = await after(0, { replayed: [8_640n] });
  expect(seconds).toBeGreaterThanOrEqual(43_200);
  expect(seconds).toBeLessThan(43_200 * 1.2);
});
