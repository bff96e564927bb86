import { Option } from 'commander';
import type { ExportRequest } from '../../../schemas/clients/typescript/src/index.ts';
import { type Command, wholeNumber } from '../command.ts';
import { customerCommand } from './customer-command.ts';
import { downloadFiles, exportLines, followExport } from './follow-export.ts';
import { formatBytes, formatCount, formatFacts, formatSeconds } from './format.ts';
import { commaList, first, given, limited, printList } from './options.ts';

interface CreateOptions {
  readonly resources?: string[];
  readonly format?: ExportRequest['format'];
  readonly compression?: ExportRequest['compression'];
  readonly archive?: 'zip';
  readonly fields?: string[];
  readonly from?: string;
  readonly to?: string;
  readonly dateField?: string;
  readonly changesSince?: string;
  readonly asOf?: string;
  readonly includeDeleted?: true;
  readonly includeRelated?: true;
  readonly csvSafe?: true;
  readonly maxRowsPerSecond?: number;
  readonly dryRun: boolean;
  readonly follow: boolean;
  readonly out?: string;
}

const createCommand = customerCommand<CreateOptions>({
  name: 'exports create',
  summary: 'start an export: one consistent snapshot of your records, as files',
  notes: `Without --follow it ends as soon as the export is accepted. With --out it waits, downloads and compares checksums;
an interrupted download is continued by \`exports download\`. Afterwards \`events tail --after-export ID\` has every later change.`,
  examples: [
    'tandem exports create --resources invoices --follow --out invoices',
    'tandem exports create --resources customers,invoices --format csv --compression zstd --out today',
    'tandem exports create --resources invoices --from 2026-01-01T00:00:00Z --dry-run',
  ],
  declare: (program) =>
    program
      .option('--resources <names>', 'which records, such as customers,invoices', commaList)
      .addOption(new Option('--format <name>', 'default: jsonl').choices(['jsonl', 'csv', 'parquet']))
      .addOption(new Option('--compression <name>', 'default: none').choices(['none', 'gzip', 'zstd']))
      .addOption(new Option('--archive <name>', 'packs all files into one').choices(['zip']))
      .option('--fields <names>', 'columns besides the key, for one resource', commaList)
      .option('--from <time>', 'only records from this time, inclusive')
      .option('--to <time>', 'only records up to this time, exclusive')
      .option('--date-field <name>', 'the column of --from and --to')
      .option('--changes-since <export>', 'only what has changed since an earlier export')
      .option('--as-of <time>', 'the records as they were at a past time')
      .option('--include-deleted', 'soft-deleted records too')
      .option('--include-related', 'related records too')
      .option('--csv-safe', 'csv that a spreadsheet does not evaluate')
      .option('--max-rows-per-second <n>', 'reads the source more slowly', wholeNumber(1, 1_000_000_000))
      .option('--dry-run', 'only estimate rows, bytes and duration', false)
      .option('--follow', 'show progress until it is completed', false)
      .option('--out <dir>', 'follow it, then download its files to this folder'),
  async run(customer, options) {
    const { client, signal, print, note } = customer;
    const request = toRequest(options);
    if (options.dryRun) {
      const estimate = await client().exports.estimate(request, { signal });
      const { estimated_rows: rows, estimated_bytes: bytes, estimated_duration_seconds: seconds } = estimate;
      const facts = {
        resources: estimate.resources.join(', '),
        rows: rows === null ? null : `about ${formatCount(rows)}`,
        size: bytes === null ? null : `about ${formatBytes(bytes)}`,
        duration: seconds === null ? null : `about ${formatSeconds(seconds)}`,
      };
      print(estimate, formatFacts(facts));
      return;
    }
    const created = await client().exports.create(request, { signal });
    if (!options.follow && options.out === undefined) {
      print(created, exportLines(created));
      note(`it runs; next: tandem exports download ${created.id}`);
      return;
    }
    const exported = await followExport(customer, created.id);
    const paths = options.out === undefined ? [] : await downloadFiles(customer, exported, options.out);
    print({ ...exported, ...(options.out === undefined ? {} : { paths }) }, [
      ...exportLines(exported),
      ...paths,
    ]);
  },
});

/** The body of `POST /exports`. */
export function toRequest(options: CreateOptions): ExportRequest {
  const { from, to, dateField: field } = options;
  const range =
    from === undefined && to === undefined && field === undefined ? undefined : given({ from, to, field });
  return given({
    resources: options.resources,
    format: options.format,
    compression: options.compression,
    archive: options.archive,
    fields: options.fields,
    // A range without its start is refused by the API, which says so.
    date_range: range as ExportRequest['date_range'],
    changes_since: options.changesSince,
    as_of: options.asOf,
    include_deleted: options.includeDeleted,
    include_related: options.includeRelated,
    csv_safe: options.csvSafe,
    max_rows_per_second: options.maxRowsPerSecond,
  });
}

const listCommand = customerCommand<{ limit: number; status?: never }>({
  name: 'exports list',
  summary: 'list exports, newest first',
  examples: ['tandem exports list', 'tandem exports list --status completed --limit 5 --json'],
  declare: (program) => limited(program).option('--status <status>', 'only those with this status'),
  async run(customer, { limit, status }) {
    const list = customer
      .client()
      .exports.list(given({ status, limit: Math.min(limit, 100) }), { signal: customer.signal });
    await printList(customer, list, limit, ['ID', 'STATUS', 'ROWS', 'CREATED', 'RESOURCES'], (each) => [
      each.id,
      each.status,
      formatCount(each.rows.written),
      each.created_at,
      each.resources.join(','),
    ]);
  },
});

const getCommand = customerCommand<{ follow: boolean }>({
  name: 'exports get',
  summary: 'show an export',
  examples: ['tandem exports get exp_01kb8z', 'tandem exports get exp_01kb8z --follow'],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the export')
      .option('--follow', 'show progress until it is completed', false),
  async run(customer, { follow }, args) {
    const { client, signal, print } = customer;
    const id = first(args);
    const exported = follow ? await followExport(customer, id) : await client().exports.get(id, { signal });
    print(exported, exportLines(exported));
  },
});

const downloadCommand = customerCommand<{ out?: string }>({
  name: 'exports download',
  summary: 'download the files of an export, and continue a download that was cut',
  notes:
    'An export that still runs is waited for. Each file is compared with its checksum; those that are there are kept.',
  examples: ['tandem exports download exp_01kb8z', 'tandem exports download exp_01kb8z --out today'],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the export')
      .option('--out <dir>', 'folder for the files (default: the ID of the export)'),
  async run(customer, { out }, args) {
    const id = first(args);
    const exported = await followExport(customer, id);
    const paths = await downloadFiles(customer, exported, out ?? exported.id);
    customer.print({ export: exported.id, paths }, paths);
  },
});

/** A command on one export that shows the export. */
function onExport(verb: 'pause' | 'resume' | 'cancel', summary: string): Command {
  return customerCommand<unknown>({
    name: `exports ${verb}`,
    summary,
    examples: [`tandem exports ${verb} exp_01kb8z`],
    declare: (program) => program.argument('<id>', 'ID of the export'),
    async run({ client, signal, print }, _, args) {
      const exported = await client().exports[verb](first(args), { signal });
      print(exported, exportLines(exported));
    },
  });
}

export const exportCommands: readonly Command[] = [
  createCommand,
  listCommand,
  getCommand,
  downloadCommand,
  onExport('pause', 'pause an export; what it has read is kept; safe to repeat'),
  onExport('resume', 'resume a paused export; safe to repeat'),
  onExport('cancel', 'end an export; safe to repeat'),
];
