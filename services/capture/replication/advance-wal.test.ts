import { expect, test } from 'vitest';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { passWal } from './advance-wal.ts';

const MB = 1_024n * 1_024n;
const NEVER = new AbortController().signal;

/** A WAL that is flushed up to its last transactional message. */
function fakeSource(start: bigint) {
  const wal = { inserted: start, flushed: start, writes: 0 };
  const query = async (text: unknown, values: unknown[] = []) => {
    const statement = String(text);
    if (statement.includes('pg_current_wal_flush_lsn')) {
      return { rows: [{ inserted: formatLsn(wal.inserted), flushed: formatLsn(wal.flushed) }] };
    }
    wal.writes += 1;
    if (statement.includes('generate_series')) wal.inserted += BigInt(String(values[0])) * (MB + 60n);
    else {
      wal.inserted += 100n;
      wal.flushed = wal.inserted;
    }
    return { rows: [] };
  };
  return { wal, source: { query } as unknown as Queryable };
}

test('a WAL that is past the position is left alone', async () => {
  const { wal, source } = fakeSource(1_001n);
  expect(await passWal(source, 1_000n, NEVER)).toBe(1_001n);
  expect(wal.writes).toBe(0);
});

test('a WAL that stands behind is written past the position, and counts only once it is durable', async () => {
  for (const behind of [0n, 1n, 70n * MB]) {
    const { source } = fakeSource(1_000n);
    const reached = await passWal(source, 1_000n + behind, NEVER);
    expect(reached).toBeGreaterThan(1_000n + behind);
    expect(reached).toBeLessThan(1_000n + behind + 34n * MB);
  }
});

test('a server that is too far behind is not filled up, and the operator is told how', async () => {
  const { wal, source } = fakeSource(1_000n);
  await expect(passWal(source, 1_000n + 2_000n * MB, NEVER)).rejects.toThrow(
    /2000 MB before.*pg_switch_wal/s,
  );
  expect(wal.writes).toBe(0);
});
