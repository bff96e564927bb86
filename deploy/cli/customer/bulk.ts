import { createWriteStream, openAsBlob } from 'node:fs';
import { rename } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Option } from 'commander';
import type { BulkJob, BulkRequest } from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type Command, wholeNumber } from '../command.ts';
import { type Customer, customerCommand, orSay } from './customer-command.ts';
import { formatCount, formatFacts, formatProgress, formatSeconds, formatTable, printable } from './format.ts';
import { commaList, first, given, jsonObject, limited, printList } from './options.ts';

interface CreateOptions {
  readonly resource: string;
  readonly operation: string;
  readonly filter?: Record<string, unknown>;
  readonly ids?: string[];
  readonly idsFile?: string;
  readonly params?: Record<string, unknown>;
  readonly all?: true;
  readonly semantics?: 'snapshot' | 'live';
  readonly maxFailures?: number;
  readonly dryRun: boolean;
  readonly follow: boolean;
}

const createCommand = customerCommand<CreateOptions>({
  name: 'bulk create',
  summary: 'start a bulk job: one operation on many records',
  notes: `Records are chosen by a filter, by IDs, or by a file with one ID a line. Try --dry-run first. With --follow it exits
1 when the job fails or an item fails.`,
  examples: [
    `tandem bulk create --resource invoices --operation void --filter '{"status": {"eq": "draft"}}' --dry-run`,
    `tandem bulk create --resource invoices --operation void --filter '{"status": {"eq": "draft"}}' --follow`,
    'tandem bulk create --resource invoices --operation void --ids-file ids.txt --follow',
  ],
  declare: (program) =>
    program
      .requiredOption('--resource <name>', 'whose records are changed')
      .requiredOption('--operation <name>', 'an operation of the resource')
      .addOption(
        new Option('--filter <json>', 'which records').argParser(jsonObject).conflicts(['ids', 'idsFile']),
      )
      .addOption(
        new Option('--ids <list>', 'IDs, separated by commas').argParser(commaList).conflicts('idsFile'),
      )
      .option('--ids-file <file>', 'a file with one ID a line; - for standard input')
      .option('--params <json>', 'parameters of the operation', jsonObject)
      .option('--all', 'confirms a filter that matches every record')
      .addOption(
        new Option('--semantics <kind>', 'default: that of the operation').choices(['snapshot', 'live']),
      )
      .option(
        '--max-failures <n>',
        'fail the job once this many items have failed',
        wholeNumber(1, 1_000_000_000),
      )
      .option('--dry-run', 'only count the records', false)
      .option('--follow', 'show progress until it is completed', false),
  async run(customer, options) {
    const { client, signal, print, note } = customer;
    const request = await toRequest(customer, options);
    if (options.dryRun) {
      const estimate = await client().bulk.estimate(request, { signal });
      const { estimated_items: items, estimated_duration_seconds: seconds, sample } = estimate;
      print(
        estimate,
        formatFacts({
          items: formatCount(items),
          duration: `about ${formatSeconds(seconds)}`,
          such: printable(sample.map(({ item_id: id }) => id).join(', ')),
        }),
      );
      return 0;
    }
    const accepted = await client().bulk.create(request, { signal });
    if (options.follow) return follow(customer, accepted.job_id);
    print(
      accepted,
      formatFacts({ job: accepted.job_id, items: `about ${formatCount(accepted.estimated_items)}` }),
    );
    note(`it runs; next: tandem bulk get ${accepted.job_id} --follow`);
    return 0;
  },
});

async function toRequest(customer: Customer, options: CreateOptions): Promise<BulkRequest> {
  const { resource, operation, idsFile } = options;
  if (options.filter === undefined && options.ids === undefined && idsFile === undefined)
    throw new SetupError('which records are changed, is not given', ['add --filter, --ids or --ids-file']);
  return {
    resource,
    operation,
    ...given({
      filter: options.filter,
      ids: options.ids,
      file_id: idsFile === undefined ? undefined : await upload(customer, idsFile, resource),
      params: options.params,
      all: options.all,
      semantics: options.semantics,
      max_failures: options.maxFailures,
    }),
  };
}

/** Uploads IDs, and shows the lines that are none. */
async function upload({ client, signal, note }: Customer, file: string, resource: string): Promise<string> {
  const ids = file === '-' ? await buffer(process.stdin) : await openAsBlob(file);
  const uploaded = await client().bulk.upload(ids, { resource }, { signal });
  note(`${formatCount(uploaded.ids)} of ${formatCount(uploaded.items)} lines are IDs of ${resource}`);
  for (const { line, detail } of uploaded.bad_lines) note(`  line ${line}: ${printable(detail)}`);
  return uploaded.file_id;
}

/** @returns the exit code: 1 when an item failed. @throws JobError when the job is not completed */
async function follow(customer: Customer, id: string): Promise<number> {
  const { client, during, signal, print, note } = customer;
  const advice = `\nThe job continues without this command. Follow it again, pause it, or end it:
  tandem bulk get ${id} --follow
  tandem bulk pause ${id}
  tandem bulk cancel ${id}`;
  const job = await orSay(customer, advice, () =>
    during(`job ${id}`, (report) =>
      client().bulk.wait(id, { signal, onProgress: (now) => report(progressOf(now)) }),
    ),
  );
  print(job, jobLines(job));
  if (job.failed === 0) return 0;
  note(`${formatCount(job.failed)} items failed: tandem bulk results ${id} --status failed`);
  return 1;
}

function progressOf({ status, processed, total, failed, eta_seconds: eta, ...job }: BulkJob): string {
  if (status === 'paused') {
    const until = job.resumes_at === undefined ? '' : ` until ${job.resumes_at}`;
    return `is paused${job.pause_reason === undefined ? '' : ` (${job.pause_reason})`}${until}`;
  }
  if (job.queue_position !== undefined) return `is number ${job.queue_position} in the queue`;
  const failures = failed === 0 ? '' : `, ${formatCount(failed)} failed`;
  const done = `${formatCount(processed)} of ${formatCount(total)} items${failures}`;
  return formatProgress(total === 0 ? 0 : processed / total, done, eta);
}

function jobLines(job: BulkJob): string[] {
  const { job_id: id, status, error, error_summary: errors } = job;
  const isRunning = ['pending', 'running', 'paused'].includes(status);
  return [
    ...formatFacts({
      job: id,
      status: isRunning ? `${status}: ${progressOf(job)}` : status,
      error: error && printable(`${error.code}: ${error.message}`),
      operation: `${job.operation} of ${job.resource}`,
      items: `${formatCount(job.succeeded)} succeeded, ${formatCount(job.failed)} failed, ${formatCount(job.skipped)} skipped, of ${formatCount(job.total)}`,
      created: job.created_at,
      ended: job.ended_at,
    }),
    ...formatTable(errors.map(({ code, count }) => [`  ${printable(code)}`, formatCount(count)])),
  ];
}

const listCommand = customerCommand<{ limit: number; status?: never }>({
  name: 'bulk list',
  summary: 'list bulk jobs, newest first',
  examples: ['tandem bulk list', 'tandem bulk list --status running --json'],
  declare: (program) => limited(program).option('--status <status>', 'only those with this status'),
  async run(customer, { limit, status }) {
    const list = customer
      .client()
      .bulk.list(given({ status, limit: Math.min(limit, 100) }), { signal: customer.signal });
    const head = ['ID', 'STATUS', 'ITEMS', 'FAILED', 'CREATED', 'OPERATION'];
    await printList(customer, list, limit, head, (each) => [
      each.job_id,
      each.status,
      `${formatCount(each.processed)}/${formatCount(each.total)}`,
      formatCount(each.failed),
      each.created_at,
      `${each.operation} of ${each.resource}`,
    ]);
  },
});

const getCommand = customerCommand<{ follow: boolean }>({
  name: 'bulk get',
  summary: 'show a bulk job',
  examples: ['tandem bulk get blk_01kb8z', 'tandem bulk get blk_01kb8z --follow'],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the job')
      .option('--follow', 'show progress until it is completed', false),
  async run(customer, options, args) {
    if (options.follow) return follow(customer, first(args));
    const job = await customer.client().bulk.get(first(args), { signal: customer.signal });
    customer.print(job, jobLines(job));
    return 0;
  },
});

interface ResultsOptions {
  readonly limit: number;
  readonly status?: 'succeeded' | 'failed' | 'skipped';
  readonly format: 'jsonl' | 'csv' | 'parquet';
  readonly out?: string;
}

const resultsCommand = customerCommand<ResultsOptions>({
  name: 'bulk results',
  summary: 'list the results of the items, or write all of an ended job to a file',
  examples: [
    'tandem bulk results blk_01kb8z --status failed',
    'tandem bulk results blk_01kb8z --format csv --out results.csv',
  ],
  declare: (program) =>
    limited(program)
      .argument('<id>', 'ID of the job')
      .addOption(new Option('--status <status>', 'only these').choices(['succeeded', 'failed', 'skipped']))
      .option('--out <file>', 'write all results to this file')
      .addOption(
        new Option('--format <name>', 'of the file').choices(['jsonl', 'csv', 'parquet']).default('jsonl'),
      ),
  async run(customer, { limit, status, format, out }, args) {
    const { client, signal, print } = customer;
    const id = first(args);
    if (out !== undefined) {
      const response = await client().bulk.resultsFile(id, { ...given({ status }), format }, { signal });
      // A file that is there is whole.
      const part = `${out}.part`;
      await pipeline(Readable.fromWeb(response.body ?? new ReadableStream()), createWriteStream(part), {
        signal,
      });
      await rename(part, out);
      print({ job_id: id, path: out }, [out]);
      return;
    }
    const list = client().bulk.results(id, given({ status, limit: Math.min(limit, 100) }), { signal });
    await printList(customer, list, limit, ['ITEM', 'STATUS', 'CODE', 'MESSAGE'], (each) => [
      each.item_id,
      each.status,
      each.code,
      each.message,
    ]);
  },
});

/** A command on one job that shows the job. */
function onJob(verb: 'pause' | 'resume' | 'cancel', summary: string): Command {
  return customerCommand<unknown>({
    name: `bulk ${verb}`,
    summary,
    examples: [`tandem bulk ${verb} blk_01kb8z`],
    declare: (program) => program.argument('<id>', 'ID of the job'),
    async run({ client, signal, print }, _, args) {
      const job = await client().bulk[verb](first(args), { signal });
      print(job, jobLines(job));
    },
  });
}

export const bulkCommands: readonly Command[] = [
  createCommand,
  listCommand,
  getCommand,
  resultsCommand,
  onJob('pause', 'pause a job; safe to repeat'),
  onJob('resume', 'resume a paused job; safe to repeat'),
  onJob('cancel', 'end a job; finished items stay changed; safe to repeat'),
];
