import { Option } from 'commander';
import type { Attempt, Body, Webhook } from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type Command, collect, wholeNumber } from '../command.ts';
import { type Customer, customerCommand } from './customer-command.ts';
import { formatFacts, printable } from './format.ts';
import { commaList, first, given, headersOf, limited, printList } from './options.ts';
import { webhookStatsCommand } from './webhook-stats.ts';

interface CreateOptions {
  readonly url: string;
  readonly events?: string[];
  readonly afterExport?: string;
  readonly since?: string;
  readonly description?: string;
  readonly header: string[];
  readonly maxInFlight?: number;
  readonly rateLimit?: number;
  readonly batch?: number;
  readonly batchWait: number;
  readonly order?: 'record' | 'strict';
}

const createCommand = customerCommand<CreateOptions>({
  name: 'webhooks create',
  summary: 'create an endpoint that gets every change, and show its secret',
  notes:
    'The secret verifies requests; it is shown only now. Without --after-export and --since the endpoint starts now.',
  examples: [
    'tandem webhooks create --url https://example.com/hook',
    "tandem webhooks create --url https://example.com/hook --events 'invoice.*' --after-export exp_01kb8z",
  ],
  declare: (program) =>
    program
      .requiredOption('--url <url>', 'where events are delivered')
      .option(
        '--events <types>',
        "event types, such as 'invoice.*,customer.created' (default: all)",
        commaList,
      )
      .addOption(
        new Option('--after-export <id>', 'from exactly where the snapshot of this export ends').conflicts(
          'since',
        ),
      )
      .option('--since <time>', 'from this time')
      .option('--description <text>', 'for people')
      .option('--header <line>', 'a header of each request, as Name: value; again for more', collect, [])
      .option('--max-in-flight <n>', 'requests at once', wholeNumber(1, 1_000))
      .option('--rate-limit <n>', 'requests per second', wholeNumber(1, 1_000_000))
      .option('--batch <n>', 'up to this many events in one request', wholeNumber(1, 10_000))
      .option('--batch-wait <ms>', 'how long an event waits for its batch', wholeNumber(0, 600_000), 1_000)
      .addOption(new Option('--order <kind>', 'what is delivered in order').choices(['record', 'strict'])),
  async run({ client, signal, print, note }, options) {
    const created = await client().webhooks.create(toWebhook(options), { signal });
    const { secret } = created;
    print(created, [...webhookLines(created), ...(secret === undefined ? [] : [`secret      ${secret}`])]);
    note(`next: tandem webhooks test ${created.id}`);
  },
});

/** The body of `POST /webhooks`. */
export function toWebhook(options: CreateOptions): Body<'createWebhook'> {
  const { afterExport, since, batch, header, url } = options;
  return {
    url,
    ...given({
      events: options.events,
      start:
        afterExport !== undefined
          ? { after_export: afterExport }
          : since === undefined
            ? undefined
            : { since },
      description: options.description,
      headers: header.length === 0 ? undefined : headersOf(header),
      max_in_flight: options.maxInFlight,
      rate_limit: options.rateLimit,
      batch: batch === undefined ? undefined : { max_events: batch, max_wait_ms: options.batchWait },
      order: options.order,
    }),
  };
}

const listCommand = customerCommand<{ limit: number }>({
  name: 'webhooks list',
  summary: 'list endpoints, newest first',
  examples: ['tandem webhooks list', 'tandem webhooks list --json'],
  declare: limited,
  async run(customer, { limit }) {
    const list = customer
      .client()
      .webhooks.list({ limit: Math.min(limit, 100) }, { signal: customer.signal });
    await printList(customer, list, limit, ['ID', 'STATUS', 'EVENTS', 'URL'], (each) => [
      each.id,
      each.status,
      each.events.join(','),
      each.url,
    ]);
  },
});

/** A command on one endpoint that shows the endpoint. */
function onWebhook(
  verb: string,
  summary: string,
  act: (customer: Customer, id: string) => Promise<Webhook>,
): Command {
  return customerCommand<unknown>({
    name: `webhooks ${verb}`,
    summary,
    examples: [`tandem webhooks ${verb} whk_01kb8z`],
    declare: (program) => program.argument('<id>', 'ID of the endpoint'),
    async run(customer, _, args) {
      const webhook = await act(customer, first(args));
      customer.print(webhook, webhookLines(webhook));
    },
  });
}

const testCommand = customerCommand<unknown>({
  name: 'webhooks test',
  summary: 'send one signed webhook.test now, and show the response; exits 1 when it is not delivered',
  examples: ['tandem webhooks test whk_01kb8z'],
  declare: (program) => program.argument('<id>', 'ID of the endpoint'),
  async run({ client, signal, print }, _, args) {
    const test = await client().webhooks.test(first(args), { signal });
    const { outcome, status, duration_ms: ms, excerpt, event_id: event } = test;
    print(
      test,
      formatFacts({
        event,
        outcome,
        status: status === undefined || status === null ? undefined : String(status),
        duration: ms === undefined ? undefined : `${ms} ms`,
        response: excerpt && printable(excerpt),
      }),
    );
    return outcome === 'delivered' ? 0 : 1;
  },
});

const rotateCommand = customerCommand<unknown>({
  name: 'webhooks rotate-secret',
  summary: 'make a new secret and show it; the old one signs for a day more',
  examples: ['tandem webhooks rotate-secret whk_01kb8z'],
  declare: (program) => program.argument('<id>', 'ID of the endpoint'),
  async run({ client, signal, print, note }, _, args) {
    const rotated = await client().webhooks.rotateSecret(first(args), { signal });
    print(rotated, [`secret: ${rotated.secret ?? '(not shown)'}`]);
    note('verify with both secrets until tomorrow');
  },
});

const deleteCommand = customerCommand<unknown>({
  name: 'webhooks delete',
  summary: 'delete an endpoint and its pending deliveries',
  examples: ['tandem webhooks delete whk_01kb8z'],
  declare: (program) => program.argument('<id>', 'ID of the endpoint'),
  async run({ client, signal, print }, _, args) {
    const id = first(args);
    await client().webhooks.delete(id, { signal });
    print({ id, deleted: true }, [`${id} is deleted`]);
  },
});

const attemptsCommand = customerCommand<{
  limit: number;
  outcome?: never;
  event?: string;
  from?: string;
  to?: string;
}>({
  name: 'webhooks attempts',
  summary: 'list delivery attempts, newest first, or show one with its request and response',
  examples: [
    'tandem webhooks attempts whk_01kb8z --outcome failed',
    'tandem webhooks attempts whk_01kb8z 6 --json',
  ],
  declare: (program) =>
    limited(program)
      .argument('<id>', 'ID of the endpoint')
      .argument('[attempt]', 'ID of an attempt')
      .option('--outcome <outcome>', 'delivered, failed, or the class of an error such as timeout')
      .option('--event <id>', 'only attempts that sent this event')
      .option('--from <time>', 'started at this time or later')
      .option('--to <time>', 'started before this time'),
  async run(customer, { limit, outcome, event, from, to }, args) {
    const { client, signal, print } = customer;
    const [id = '', attemptId] = args;
    if (attemptId !== undefined) {
      const attempt = await client().webhooks.attempt(id, attemptId, { signal });
      // Every header and the body: a person reads them as JSON, too.
      print(attempt, JSON.stringify(attempt, null, 2).split('\n').map(printable));
      return;
    }
    const query = given({ outcome, event_id: event, from, to, limit: Math.min(limit, 100) });
    const head = ['ID', 'STARTED', 'OUTCOME', 'STATUS', 'MS', 'ATTEMPT', 'EVENT'];
    await printList(
      customer,
      client().webhooks.attempts(id, query, { signal }),
      limit,
      head,
      (each: Attempt) => [
        each.id,
        each.started_at,
        each.outcome,
        each.status,
        each.duration_ms,
        each.attempt,
        each.event_id,
      ],
    );
  },
});

interface ReplayOptions {
  readonly since?: string;
  readonly afterExport?: string;
  readonly failed: boolean;
  readonly from?: string;
  readonly to?: string;
}

const replayCommand = customerCommand<ReplayOptions>({
  name: 'webhooks replay',
  summary: 'deliver events again: all after a place, or those that failed',
  examples: [
    'tandem webhooks replay whk_01kb8z --since 2026-01-01T00:00:00Z',
    'tandem webhooks replay whk_01kb8z --failed --from 2026-01-01T00:00:00Z',
  ],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the endpoint')
      .addOption(
        new Option('--since <place>', 'a time, an event or a position').conflicts(['afterExport', 'failed']),
      )
      .addOption(
        new Option('--after-export <id>', 'from exactly where its snapshot ends').conflicts('failed'),
      )
      .option('--failed', 'only events whose last attempt failed', false)
      .option('--from <time>', 'with --failed: the last attempt was at this time or later')
      .option('--to <time>', 'with --failed: the last attempt was before this time'),
  async run({ client, signal, print }, { failed, from, to, since, afterExport }, args) {
    const id = first(args);
    if (!failed && (from !== undefined || to !== undefined))
      throw new SetupError('--from and --to are for --failed; use --since');
    if (!failed && since === undefined && afterExport === undefined)
      throw new SetupError('what is delivered again, is not given', [
        'add --since, --after-export or --failed',
      ]);
    if (failed && from === undefined)
      throw new SetupError('the start of the failed attempts is not given', ['add --from']);
    const body = failed
      ? given({ only: 'failed' as const, from, to })
      : given({ since, after_export: afterExport });
    const replayed = await client().request('replayWebhook', { params: { id }, body }, { signal });
    print(
      replayed,
      'url' in replayed
        ? webhookLines(replayed)
        : [`what failed from ${replayed.from} to ${replayed.to} is delivered again`],
    );
  },
});

/** An endpoint for a person, without its secret. */
function webhookLines(webhook: Webhook): string[] {
  const { id, url, events, status, status_reason: reason, failing_since: failing, held_by: held } = webhook;
  return formatFacts({
    endpoint: id,
    url: printable(url),
    events: events.join(', '),
    status: reason === null ? status : `${status}: ${printable(reason)}`,
    failing: failing === null ? undefined : `since ${failing}, ${webhook.failures_in_row} in a row`,
    'held by': held,
    position: webhook.position,
    created: webhook.created_at,
  });
}

export const webhookCommands: readonly Command[] = [
  createCommand,
  listCommand,
  onWebhook('get', 'show an endpoint', ({ client, signal }, id) => client().webhooks.get(id, { signal })),
  testCommand,
  onWebhook('pause', 'stop deliveries; events are retained', ({ client, signal }, id) =>
    client().webhooks.pause(id, { signal }),
  ),
  onWebhook('resume', 'continue deliveries where they stopped', ({ client, signal }, id) =>
    client().webhooks.resume(id, { signal }),
  ),
  rotateCommand,
  deleteCommand,
  attemptsCommand,
  webhookStatsCommand,
  replayCommand,
];
