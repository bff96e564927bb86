import type { Violation } from './apply-event.ts';
import type { Difference } from './compare-rows.ts';
import type { VerifyResult } from './run-verify.ts';

/** Tells a person what is found, as it is found. */
export interface Report {
  readonly differenceCount: number;
  begin(accountId: string | undefined): void;
  onDifference(difference: Difference): void;
  onViolation(violation: Violation): void;
  onProgress(stage: string, done: number, of?: number): void;
  end(result: VerifyResult): void;
  /** The comparison could not be made. */
  onUnknown(reason: string): void;
}

/** Enough to see what is wrong; more would only bury it, and they are counted all the same. */
const MAX_SHOWN = 1_000;
const PROGRESS_INTERVAL_MS = 2_000;

const KINDS: Record<Difference['kind'], string> = {
  missing: 'is in the source, and missing from file and feed',
  extra: 'is in file and feed, and not in the source',
  differing: 'differs in',
};

export function createReport(
  say: (line: string) => void,
  { showsValues, now }: { showsValues: boolean; now: () => number },
): Report {
  let count = 0;
  let startedMs = now();
  let stageNow = '';
  let toldMs = 0;
  const found = (line: string) => {
    count += 1;
    if (count <= MAX_SHOWN) say(line);
    if (count === MAX_SHOWN) say('further differences are counted, and not shown');
  };
  return {
    get differenceCount() {
      return count;
    },
    begin(accountId) {
      startedMs = now();
      stageNow = '';
      if (accountId !== undefined) say(`account ${accountId}`);
    },
    onDifference({ kind, resource, key, columns }) {
      const names = columns.map(({ name, source, replica }) =>
        showsValues ? `${name} (source ${source ?? 'has none'}, replica ${replica ?? 'has none'})` : name,
      );
      found(`${kind}: ${resource} ${key} ${KINDS[kind]}${names.length === 0 ? '' : ` ${names.join(', ')}`}`);
    },
    onViolation: ({ resource, key, text }) => found(`faulty: ${resource} ${key}: ${text}`),
    onProgress(stage, done, of) {
      const isNew = stage !== stageNow;
      if (!isNew && now() - toldMs < PROGRESS_INTERVAL_MS) return;
      stageNow = stage;
      toldMs = now();
      const share =
        of === undefined || of === 0
          ? ''
          : ` of ${of.toLocaleString('en-US')} (${Math.floor((100 * done) / of)} %)`;
      say(`  ${stage}${done === 0 && of === undefined ? '' : `: ${done.toLocaleString('en-US')}${share}`}`);
    },
    end({ exportId, rows, events, differences, comparedAt }) {
      const seconds = ((now() - startedMs) / 1_000).toFixed(1);
      const work =
        `${rows.toLocaleString('en-US')} rows of the source against the export ${exportId} and ` +
        `${events.toLocaleString('en-US')} events, under one snapshot at ${comparedAt}, in ${seconds} s`;
      say(differences === 0 ? `EQUAL: ${work}` : `NOT EQUAL: ${differences} differences; ${work}`);
    },
    onUnknown: (reason) => say(`COULD NOT TELL: ${reason}`),
  };
}

/** The same for a program: a line of JSON for each difference, fault and account, by `type`, and `unknown` with a
 * `reason` where no comparison could be made. Progress is left out. */
export function createJsonReport(
  say: (line: string) => void,
  { showsValues }: { showsValues: boolean },
): Report {
  let count = 0;
  let account: string | undefined;
  const print = (type: string, fields: object) => say(JSON.stringify({ type, account, ...fields }));
  return {
    get differenceCount() {
      return count;
    },
    begin(accountId) {
      account = accountId;
    },
    onDifference({ kind, resource, key, columns }) {
      count += 1;
      if (count > MAX_SHOWN) return;
      print('difference', {
        kind,
        resource,
        key,
        columns: showsValues ? columns : columns.map(({ name }) => name),
      });
    },
    onViolation({ resource, key, text }) {
      count += 1;
      if (count <= MAX_SHOWN) print('fault', { resource, key, text });
    },
    onProgress: () => undefined,
    end({ exportId, rows, events, differences, comparedAt }) {
      print('result', {
        equal: differences === 0,
        differences,
        export: exportId,
        rows,
        events,
        compared_at: comparedAt,
      });
    },
    onUnknown: (reason) => print('unknown', { reason }),
  };
}
