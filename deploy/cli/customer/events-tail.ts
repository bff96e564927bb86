import { Option } from 'commander';
import { customerCommand, untilStopped } from './customer-command.ts';
import { eventLine, type FeedStart, followFeed, startQuery } from './follow-feed.ts';

export const eventsTailCommand = customerCommand<FeedStart & { resource?: string; once: boolean }>({
  name: 'events tail',
  summary: 'print every change of your records as it happens, until Ctrl-C',
  notes: `It reads the feed from now, or from exactly where an export ends. With --json each line is an event as webhooks
have it. The last lines on standard error say where to continue.`,
  examples: [
    'tandem events tail',
    'tandem events tail --after-export exp_01kb8z --json >> events.jsonl',
    'tandem events tail --resource invoices --after evt_01kb90 --once',
  ],
  declare: (program) =>
    program
      .addOption(
        new Option('--after-export <id>', 'from exactly where the snapshot of this export ends').conflicts(
          'after',
        ),
      )
      .option('--after <place>', 'after this cursor, event or position')
      .option('--resource <name>', 'only events of this resource')
      .option('--once', 'end when everything is read', false),
  async run(customer, { after, afterExport, resource, once }) {
    const { client, signal, data, note, isJson } = customer;
    let continuesAt: string | undefined;
    const start = await startQuery(client(), { after, afterExport }, signal);
    await untilStopped(signal, async () => {
      for await (const { texts, cursor } of followFeed(customer, { ...start, resource }, once)) {
        for (const text of texts) data(isJson ? text : eventLine(text));
        continuesAt = cursor;
        // The reader of our lines is gone, such as a pager.
        if (process.stdout.destroyed) return;
      }
    });
    if (continuesAt !== undefined) note(`continue with: --after ${continuesAt}`);
  },
});
