import { existsSync } from 'node:fs';
import {
  type CheckProgress,
  Replica,
  type ReplicaCheck,
  type ResourceCheck,
} from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { customerCommand } from './customer-command.ts';
import { exportProgress } from './follow-export.ts';
import { formatCount, printable } from './format.ts';
import { first, sqlitePath } from './options.ts';

/** The number of differing records that a person is shown. */
const MAX_SHOWN = 20;

const DIFFERS = 1;
const NOT_COMPARED = 2;

export const replicaVerifyCommand = customerCommand<unknown>({
  name: 'replica verify',
  summary:
    'compare the copy of "replica sync" with the source: row counts, digests, and the records that differ',
  notes: `Both are compared at one position of the feed. A running sync of the file waits until that position is known,
which takes up to two minutes, and every record is digested.
Exit codes: 0 equal; 1 a record differs; 2 something could not be compared.`,
  examples: [
    'tandem replica verify sqlite:replica.db',
    "tandem replica verify sqlite:replica.db --json | jq '.resources[] | select(.is_equal | not)'",
  ],
  failureCode: NOT_COMPARED,
  declare: (program) => program.argument('<store>', 'sqlite:FILE', sqlitePath),
  async run({ client, signal, print, during }, _, args) {
    const path = sqlitePath(first(args));
    if (!existsSync(path)) throw new SetupError(`There is no ${path}: make it with "tandem replica sync".`);
    const { SqliteStore } = await import('../../../schemas/clients/typescript/src/sqlite.ts');
    using store = new SqliteStore(path);
    const resources = await loadedResources(store);
    const replica = new Replica({ client: client(), store, resources });
    const check = await during('check', (report) =>
      replica.verify({ signal, onProgress: (progress) => report(describe(progress)) }),
    );
    print(toJson(check), toLines(check));
    if (!check.isEqual) return DIFFERS;
    return Object.keys(check.unchecked).length > 0 ? NOT_COMPARED : 0;
  },
});

/** Those that the file keeps. @throws SetupError when it was never synced */
async function loadedResources(store: {
  transaction<T>(
    work: (transaction: { readState(): Promise<string | undefined> | string | undefined }) => Promise<T>,
  ): Promise<T>;
}): Promise<string[]> {
  const text = await store.transaction(async (transaction) => transaction.readState());
  if (text === undefined)
    throw new SetupError('The file keeps no replica yet: run "tandem replica sync" first.');
  return (JSON.parse(text) as { resources: string[] }).resources;
}

function describe({ phase, export: exported, rows }: CheckProgress): string {
  if (phase === 'replica') return `${formatCount(rows)} records of the copy`;
  return `source ${exportProgress(exported)}`;
}

function toJson({ isEqual, exportId, asOf, position, resources, unchecked }: ReplicaCheck) {
  return {
    is_equal: isEqual,
    export_id: exportId,
    as_of: asOf,
    position,
    resources: resources.map(({ isEqual: isResourceEqual, isComplete, ...rest }) => ({
      ...rest,
      is_equal: isResourceEqual,
      is_complete: isComplete,
    })),
    unchecked,
  };
}

function toLines({ asOf, position, resources, unchecked }: ReplicaCheck): string[] {
  return [
    `as of ${asOf}, before position ${position}`,
    ...resources.flatMap(resourceLines),
    ...Object.entries(unchecked).map(([name, reason]) => `${printable(name)}: not compared. ${reason}`),
  ];
}

function resourceLines(check: ResourceCheck): string[] {
  const { resource, source, replica, differences, buckets, isComplete } = check;
  const name = printable(resource);
  if (check.isEqual) return [`${name}: equal, ${formatCount(source.rows)} records, digest ${source.digest}`];
  const counts = `${formatCount(replica.rows)} records here, ${formatCount(source.rows)} in the source`;
  const rest = differences.length - MAX_SHOWN;
  return [
    `${name}: differs, ${counts}, ${formatCount(buckets.length)} of 256 buckets`,
    ...differences.slice(0, MAX_SHOWN).map(({ key, kind }) => `  ${kind} ${printable(key)}`),
    ...(rest > 0 ? [`  and ${formatCount(rest)} more: see --json`] : []),
    ...(isComplete ? [] : ['  There are more. If most records differ, load a new copy.']),
  ];
}
