import { customerCommand } from './customer-command.ts';
import { formatCount, formatFacts, formatSeconds, formatTable } from './format.ts';
import { first, given } from './options.ts';

export const webhookStatsCommand = customerCommand<{ from?: string; to?: string }>({
  name: 'webhooks stats',
  summary: 'show deliveries, failures and durations by five minutes, and how far the endpoint is behind',
  examples: [
    'tandem webhooks stats whk_01kb8z',
    'tandem webhooks stats whk_01kb8z --from 2026-01-01T00:00:00Z --json',
  ],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the endpoint')
      .option('--from <time>', 'default: a day before --to')
      .option('--to <time>', 'default: now'),
  async run({ client, signal, print }, { from, to }, args) {
    const stats = await client().webhooks.stats(first(args), given({ from, to }), { signal });
    const { attempts, events, behind_by: behind, duration_ms: duration, buckets } = stats;
    const counts = ({ delivered, failed }: { delivered: number; failed: number }) =>
      `${formatCount(delivered)} delivered, ${formatCount(failed)} failed`;
    const age = behind.seconds === null ? '' : `, ${formatSeconds(behind.seconds)}`;
    const rows = buckets.map((each) => [
      each.at,
      formatCount(each.events.delivered),
      formatCount(each.attempts.failed),
      String(each.duration_ms?.p50 ?? '-'),
      String(each.duration_ms?.p95 ?? '-'),
    ]);
    print(stats, [
      ...formatFacts({
        range: `${stats.from} to ${stats.to}`,
        'behind by': `${behind.is_exact ? '' : 'at least '}${formatCount(behind.events)} events${age}`,
        events: counts(events),
        requests: counts(attempts),
        duration: duration === null ? undefined : `p50 ${duration.p50} ms, p95 ${duration.p95} ms`,
        retrying: formatCount(stats.retrying),
        'dead letters': formatCount(stats.dead_letters),
      }),
      ...(rows.length === 0 ? [] : formatTable([['FROM', 'EVENTS', 'FAILED', 'P50', 'P95'], ...rows])),
    ]);
  },
});
