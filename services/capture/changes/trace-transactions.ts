import type { ChangeSource } from '../../../shared/domain/change.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import { isTracing, type OpenSpan, startSpan } from '../../../shared/runtime/tracing.ts';

/**
 * Limit of new traces per second, whatever the sampler decides: ten thousand commits per second would overload the
 * collector.
 */
const MAX_TRACES_PER_SECOND = 50;

/** Limit of traced changes per transaction: each may become a request to every webhook endpoint. */
const MAX_TRACED_CHANGES = 50;

/** Starts traces for sampled transactions. A commit has no caller whose trace it could join. */
export interface TransactionTraces {
  /** The `traceparent` of a change; undefined when it is not traced. Call it once for each change, in order. */
  traceparentOf(source: ChangeSource): string | undefined;
  /** Marks all changes so far as published. @param isOpen whether more changes of the last transaction may follow */
  published(isOpen: boolean): void;
}

interface TracedTransaction {
  readonly span: OpenSpan;
  changeCount: number;
}

/**
 * @param topic to which the changes are published
 * @returns undefined when tracing is off, so that a change costs nothing more
 */
export function createTransactionTraces(topic: string, now: () => number): TransactionTraces | undefined {
  if (!isTracing()) return undefined;
  let latestLsn: Lsn | undefined;
  let latest: TracedTransaction | undefined;
  /** Started and unpublished transactions; the latest may be among them. */
  let unpublished: TracedTransaction[] = [];
  let second = 0;
  let begunCount = 0;

  const begin = ({ commitLsn, xid, committedAtMicros }: ChangeSource): TracedTransaction | undefined => {
    const nowMs = now();
    const thisSecond = Math.floor(nowMs / 1_000);
    if (thisSecond !== second) begunCount = 0;
    second = thisSecond;
    if (begunCount >= MAX_TRACES_PER_SECOND) return undefined;
    // The two times usually come from the clocks of two machines.
    const startedAtMs = Math.min(nowMs, Number(committedAtMicros) / 1_000);
    const span = startSpan('publish transaction', {
      kind: 'producer',
      startedAtMs,
      attributes: {
        'messaging.system': 'kafka',
        'messaging.destination.name': topic,
        'tandem.xid': String(xid),
        'tandem.commit_lsn': formatLsn(commitLsn),
        // The rest of the span is Kafka's part.
        'tandem.decoded_after_ms': nowMs - startedAtMs,
      },
    });
    if (span === undefined) return undefined;
    begunCount += 1;
    const transaction = { span, changeCount: 0 };
    unpublished.push(transaction);
    return transaction;
  };

  return {
    traceparentOf(source) {
      if (source.commitLsn !== latestLsn) {
        latestLsn = source.commitLsn;
        latest = begin(source);
      }
      if (latest === undefined) return undefined;
      latest.changeCount += 1;
      return latest.changeCount > MAX_TRACED_CHANGES ? undefined : latest.span.traceparent;
    },
    published(isOpen) {
      const stillOpen = isOpen ? latest : undefined;
      for (const transaction of unpublished) {
        if (transaction === stillOpen) continue;
        transaction.span.setAttributes({ 'tandem.changes': transaction.changeCount });
        transaction.span.end();
      }
      unpublished = stillOpen === undefined ? [] : [stillOpen];
    },
  };
}
