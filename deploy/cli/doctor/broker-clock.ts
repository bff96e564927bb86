import type { TransactionTimes } from '../../../shared/kafka/kafka-client.ts';
import { type Found, ok, warning } from './area.ts';

/** Less does no harm: retention counts in days, and a broker refuses records that are an hour early. */
const APART_MS = 5_000;

/**
 * Compares the clock of a broker with that of capture. A transaction's record comes before its end, and its end before the
 * record of the next one, which bounds the difference from both sides; and the broker's last time is not after now.
 *
 * @param nowMs on this machine
 */
export function describeBrokerClock({ brokerId, transactions }: TransactionTimes, nowMs: number): Found {
  if (transactions.length === 0) return ok('nothing to compare yet: capture has published nothing');
  // How far the broker is ahead of capture, at most and at least.
  const most = Math.min(...transactions.map(({ writerAtMs, brokerAtMs }) => brokerAtMs - writerAtMs));
  const least = Math.max(
    ...transactions
      .slice(1)
      .map(({ writerAtMs }, before) => (transactions[before]?.brokerAtMs ?? 0) - writerAtMs),
  );
  const fix = 'synchronise the clocks of all machines (NTP)';
  const harm =
    'records expire early or late by as much, and brokers refuse records that are more than an hour early';
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const apart = (what: string) => warning(`the clock of broker ${brokerId} is ${what}: ${harm}`, fix);
  if (least > APART_MS) return apart(`at least ${seconds(least)} ahead of capture's`);
  if (most < -APART_MS) return apart(`at least ${seconds(-most)} behind capture's`);
  const lastMs = transactions.at(-1)?.brokerAtMs ?? 0;
  if (lastMs - nowMs > APART_MS) return apart(`at least ${seconds(lastMs - nowMs)} ahead of this machine's`);
  return ok(`the clock of broker ${brokerId} agrees with capture's, as far as the last transactions show`);
}
