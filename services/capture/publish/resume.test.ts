import { expect, test } from 'vitest';
import { type CaptureProgress, fromCaptureState, toCaptureState } from './capture-progress.ts';
import { behindCommit, classifyStart, GapPossibleError, publishedTo, startAnew } from './resume.ts';

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
  setAsides: [],
  tables: new Map([['items', '16400/16500']]),
  tableRecords: [
    { offset: 40, schemaId: 1, tables: [{ resource: 'items', identity: '16400/16500', fingerprint: 'f' }] },
    { offset: 44, schemaId: 1, tables: [{ resource: 'new_items', identity: null, fingerprint: 'g' }] },
  ],
};
const SOURCE = { systemId: '7', timeline: 1, confirmedFlushLsn: 1_000n };

function reasonOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return error instanceof GapPossibleError ? error.reason : undefined;
  }
  return undefined;
}

test('without a stored state the feed is a new one', () => {
  expect(classifyStart('s', undefined, SOURCE, undefined)).toEqual({ kind: 'first' });
});

test('a slot that stands at or behind the stored position gives all that is missing', () => {
  for (const confirmedFlushLsn of [1_000n, 400n]) {
    const start = classifyStart('s', STORED, { ...SOURCE, confirmedFlushLsn }, undefined);
    expect(start).toEqual({ kind: 'resume', stored: STORED });
  }
});

const GAPS = {
  slot_ahead: { ...SOURCE, confirmedFlushLsn: 1_001n },
  timeline_changed: { ...SOURCE, timeline: 2 },
  other_system: { ...SOURCE, systemId: '8' },
};

test.for(Object.entries(GAPS))('%s is a gap, until the stored position is accepted', ([reason, source]) => {
  const start = (accepted?: bigint) => classifyStart('s', STORED, source, accepted);
  expect(reasonOf(start)).toBe(reason);
  expect(start).toThrow(/gap possible.*ACCEPT_GAP_AFTER=0\/3E8/);
  expect(reasonOf(() => start(999n))).toBe(reason);
  expect(start(1_000n)).toEqual({ kind: 'after_gap', stored: STORED });
});

test('a position that was accepted once is no gap any more', () => {
  expect(classifyStart('s', STORED, SOURCE, 1_000n).kind).toBe('resume');
});

test('a slot that was moved behind a transaction that can not be sent is no surprise to who accepted that', () => {
  const source = (confirmedFlushLsn: bigint) => ({ ...SOURCE, confirmedFlushLsn });
  const start = classifyStart('s', STORED, source(behindCommit(1_200n)), 1_200n);
  expect(start).toEqual({ kind: 'after_gap', stored: STORED });
  expect(behindCommit(1_200n)).toBeGreaterThan(publishedTo({ ...STORED, lastCommitLsn: 1_200n }));
  for (const elsewhere of [1_200n, 1_201n, 1_203n])
    expect(reasonOf(() => classifyStart('s', STORED, source(elsewhere), 1_200n))).toBe('slot_ahead');
});

test('a gap amid a transaction that was published in part is told behind that part', () => {
  expect(publishedTo(STORED)).toBe(1_000n);
  expect(publishedTo({ ...STORED, lastCommitLsn: 1_200n })).toBe(1_201n);
});

test('a feed that begins again settles nothing that was running then', () => {
  const source = { ...SOURCE, timeline: 2 };
  expect(startAnew(undefined, SOURCE, 1_000n, 80n)).toMatchObject({
    passedLsn: 1_000n,
    lastIndex: -1,
    settledLsn: 0n,
    unsettledXmin: 80n,
  });
  expect(startAnew(STORED, source, 2_000n, 80n)).toMatchObject({
    timeline: 2,
    passedLsn: 2_000n,
    settledLsn: 950n,
    unsettledXmin: 80n,
    unsettled: [],
  });
});

test('progress comes back from its records as it went in', () => {
  const comesBack = (progress: CaptureProgress) => {
    const state = toCaptureState('s', progress, [40, 44]);
    expect(state).toMatchObject({ table_records: [40, 44], tables: [] });
    expect(fromCaptureState(state, STORED.tableRecords)).toEqual(progress);
  };
  comesBack(STORED);
  comesBack({ ...STORED, unsettledXmin: 99n });
});

test('a state of an earlier version has its tables itself', () => {
  const state = { ...toCaptureState('s', STORED, []), table_records: null };
  const earlier = { ...state, tables: [{ resource: 'items', identity: '16400/16500' }] };
  const { tableRecords: _, ...progress } = STORED;
  expect(fromCaptureState(earlier, undefined)).toEqual(progress);
});

test('a state whose tables are gone is a gap, because a table may have been altered', () => {
  const stored = fromCaptureState(toCaptureState('s', STORED, [40, 44]), [
    STORED.tableRecords?.[0],
    undefined,
  ]);
  expect(reasonOf(() => classifyStart('s', stored, SOURCE, undefined))).toBe('tables_lost');
  expect(classifyStart('s', stored, SOURCE, 1_000n)).toMatchObject({ kind: 'after_gap' });
});
