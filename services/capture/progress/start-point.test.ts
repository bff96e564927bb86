import { expect, test } from 'vitest';
import { GapPossibleError } from '../gap-possible-error.ts';
import type { CaptureProgress } from './capture-progress.ts';
import { fromCaptureState, toCaptureState } from './capture-progress.ts';
import { startPoint } from './start-point.ts';

const STORED: CaptureProgress = {
  systemId: '7',
  timeline: 1,
  passedLsn: 1_000n,
  lastCommitLsn: 900n,
  lastIndex: 3,
  settledLsn: 950n,
  snapshot: '5:6:',
  unsettled: [{ commitLsn: 960n, xid: 5n }],
  unsettledXmin: null,
};
const SOURCE = { systemId: '7', timeline: 1, confirmedFlushLsn: 1_000n, nextXid: 80n };

function reasonOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return error instanceof GapPossibleError ? error.reason : undefined;
  }
  return undefined;
}

test('the very first start begins where the slot is, with nothing settled', () => {
  expect(startPoint('s', undefined, SOURCE, undefined)).toMatchObject({
    isAfterGap: false,
    progress: { passedLsn: 1_000n, lastIndex: -1, settledLsn: 0n, unsettledXmin: 80n },
  });
});

test('a slot that stands at or behind the stored position gives all that is missing', () => {
  for (const confirmedFlushLsn of [1_000n, 400n]) {
    const start = startPoint('s', STORED, { ...SOURCE, confirmedFlushLsn }, undefined);
    expect(start).toEqual({ progress: STORED, isAfterGap: false });
  }
});

test('a slot ahead of the stored position is a gap, with the position to accept in the message', () => {
  const start = () => startPoint('s', STORED, { ...SOURCE, confirmedFlushLsn: 1_001n }, undefined);
  expect(reasonOf(start)).toBe('slot_ahead');
  expect(start).toThrow(/gap possible.*ACCEPT_GAP_AFTER=0\/3E8/);
});

test('an accepted gap starts at the slot, tells it, and settles nothing that was running then', () => {
  const ahead = { ...SOURCE, confirmedFlushLsn: 2_000n };
  expect(startPoint('s', STORED, ahead, 1_000n)).toMatchObject({
    isAfterGap: true,
    progress: { passedLsn: 2_000n, settledLsn: 950n, unsettledXmin: 80n, unsettled: [] },
  });
  expect(reasonOf(() => startPoint('s', STORED, ahead, 999n))).toBe('slot_ahead');
});

test('another timeline or another cluster is a gap, and not one to accept by a position', () => {
  expect(reasonOf(() => startPoint('s', STORED, { ...SOURCE, timeline: 2 }, 1_000n))).toBe(
    'timeline_changed',
  );
  expect(reasonOf(() => startPoint('s', STORED, { ...SOURCE, systemId: '8' }, 1_000n))).toBe('other_system');
});

test('progress comes back from its record as it went in', () => {
  expect(fromCaptureState(toCaptureState('s', STORED))).toEqual(STORED);
  const cut = { ...STORED, unsettledXmin: 99n };
  expect(fromCaptureState(toCaptureState('s', cut))).toEqual(cut);
});
