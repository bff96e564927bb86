import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { type Refusal, sortFindings } from '../../../shared/catalog/refused-resources.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import { readKafkaConfig } from '../../../shared/kafka/client-config.ts';
import { createRecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { recorderGroup } from '../../../shared/protocol/names.ts';
import { type Env, envReader } from '../../../shared/runtime/env.ts';
import { describeError, SetupError } from '../../../shared/runtime/errors.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import { SAMPLE_CATALOG } from '../../local/service-env.ts';
import { type Command, type CommandContext, collect, wholeNumber } from '../command.ts';
import { readSourceSettings, type SourceSettings, withSource } from '../source-settings.ts';
import { createJsonReport, createReport, type Report } from '../verify/report.ts';
import { runVerify } from '../verify/run-verify.ts';
import { CouldNotTellError, createVerifyApi, type VerifyApi } from '../verify/verify-api.ts';

const COULD_NOT_TELL = 2;

/** The proof on a live system: what a customer would make of file and feed, compared with the source. */
export const verifyCommand: Command = {
  name: 'verify',
  summary: 'load an export, apply the feed, and compare with the source, row by row under one snapshot',
  notes: `Exits 0 when file and feed are the source, 1 when they are not, 2 when it is unknown. Uses the Tandem that
runs here, or else DATABASE_URL, CONTROL_DATABASE_URL, KAFKA_BROKERS, CATALOG and TOPIC_PREFIX as the services do, and
PUBLIC_URL and ADMIN_KEY.`,
  declare(program, perform) {
    program
      .option(
        '--account <id>',
        "only this account; again for more (default with the operator's key: each in turn)",
        collect,
        [],
      )
      .option(
        '--resource <name>',
        'only this resource; again for more (default: all of the catalog)',
        collect,
        [],
      )
      .option(
        '--export <id>',
        'an export that was made before, instead of a new one: the older, the more of the feed is verified',
      )
      .option('--key <key>', "an account's own key, instead of the operator's (or TANDEM_KEY)")
      .option('--api <url>', 'where the API is (or TANDEM_URL)')
      .option('--rate <n>', 'rows a second that are read at most', wholeNumber(1, 100_000_000), 50_000)
      .option('--wait <s>', 'how long the feed may stand still', wholeNumber(1, 86_400), 60)
      .option(
        '--scratch <dir>',
        'directory for the records, as large as the unpacked files (default: TANDEM_HOME)',
      )
      .option(
        '--json',
        'print lines of JSON: each difference, each fault, and for each account the result, or why it is unknown',
        false,
      )
      .option('--show-values', 'print the values of differing columns, not only their names', false)
      .action((options: VerifyOptions) => perform((context) => verifyOrSayWhy(options, context)));
  },
};

interface VerifyOptions {
  readonly account: readonly string[];
  readonly resource: readonly string[];
  readonly export?: string;
  readonly key?: string;
  readonly api?: string;
  readonly rate: number;
  readonly wait: number;
  readonly scratch?: string;
  readonly json: boolean;
  readonly showValues: boolean;
}

async function verifyOrSayWhy(options: VerifyOptions, context: CommandContext): Promise<number> {
  const { json, showValues: showsValues } = options;
  const report = json
    ? createJsonReport(context.say, { showsValues })
    : createReport(context.say, { showsValues, now: Date.now });
  try {
    return await verify(options, context, report);
  } catch (error) {
    if (context.signal.aborted || error instanceof SetupError) throw error;
    report.onUnknown(
      error instanceof CouldNotTellError ? error.message : JSON.stringify(describeError(error)),
    );
    return COULD_NOT_TELL;
  }
}

async function verify(values: VerifyOptions, context: CommandContext, report: Report): Promise<number> {
  const { log, signal, home } = context;
  const { rate: rowsPerSecond, scratch = home } = values;
  const standstillMs = 1_000 * values.wait;
  const { env, apiUrl, key } = findSettings(context, values.api, values.key);
  const source = readSourceSettings(env);
  const catalog = await loadCatalog(source.catalogPath);
  const chosen = chosenResources(catalog, values.resource);
  const refused =
    values.resource.length === 0 ? await findRefused(source, catalog) : new Map<string, Refusal>();
  for (const { text } of refused.values()) context.note(`not verified, as it is refused: ${text}`);
  const resources = chosen.filter((name) => !refused.has(name));

  await using cleanup = new AsyncDisposableStack();
  const control = cleanup.adopt(
    createControlPool(env.CONTROL_DATABASE_URL ?? source.databaseUrl, log, {
      applicationName: 'tandem verify',
      max: 2,
    }),
    (pool) => pool.end(),
  );
  const read = envReader(env);
  const kafka = createKafka(read.done(readKafkaConfig(read)), 'tandem-verify', log);
  const admin = cleanup.adopt(kafka.uncommittedAdmin(), (connected) => connected.disconnect());
  await admin.connect();
  const topicPrefix = env.TOPIC_PREFIX ?? 'tandem';
  const { changes } = topicsOf(topicPrefix, catalog);
  if (!(await admin.listTopics()).includes(changes)) {
    throw new SetupError(`Kafka has no topic ${changes}, so the feed of this Tandem can't be followed`, [
      `TOPIC_PREFIX is ${topicPrefix} here, and KAFKA_BROKERS is ${env.KAFKA_BROKERS}: set both as its services have them`,
    ]);
  }
  mkdirSync(scratch, { recursive: true });
  const directory = mkdtempSync(join(scratch, 'verify-'));
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));

  const api = createVerifyApi(apiUrl, key, signal);
  for (const accountId of await chosenAccounts(api, control, values)) {
    report.begin(accountId);
    const result = await runVerify(
      { accountId, resources, exportId: values.export },
      {
        ...report,
        api,
        catalog,
        control,
        recordedChanges: createRecordedChanges(admin, changes, recorderGroup(topicPrefix)),
        sourceUrl: source.databaseUrl,
        sourceIdOf: (id) => findSourceId(control, id),
        directory,
        rowsPerSecond,
        standstillMs,
        signal,
      },
    );
    report.end(result);
  }
  return report.differenceCount === 0 ? 0 : 1;
}

/** The settings of the Tandem that runs in this home, beneath those of the environment. */
function findSettings(
  { env, home }: CommandContext,
  api: string | undefined,
  givenKey: string | undefined,
): { env: Env; apiUrl: string; key: string } {
  const running = findRunningTandem(home);
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const all: Env = { CATALOG: SAMPLE_CATALOG, ...running?.parts, ...set };
  const apiUrl = api ?? set.TANDEM_URL ?? running?.apiUrl ?? set.PUBLIC_URL;
  const key = givenKey ?? set.TANDEM_KEY ?? set.ADMIN_KEY ?? running?.adminKey;
  const missing = [
    ...(apiUrl === undefined ? ['where the API is: --api, TANDEM_URL or PUBLIC_URL'] : []),
    ...(key === undefined ? ['a key: ADMIN_KEY, --key or TANDEM_KEY'] : []),
  ];
  if (apiUrl === undefined || key === undefined) {
    throw new SetupError('no Tandem runs in this home, and it is not said', missing);
  }
  return { env: all, apiUrl: apiUrl.replace(/\/+$/, ''), key };
}

function chosenResources(catalog: Catalog, names: readonly string[]): string[] {
  const known = catalog.resources.map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new SetupError(
      `the catalog ${catalog.name} has no ${unknown.join(', ')}; it has ${known.join(', ')}`,
    );
  }
  return names.length === 0 ? known : [...new Set(names)];
}

/** Resources without exports, each with the reason. */
function findRefused(
  { databaseUrl }: SourceSettings,
  catalog: Catalog,
): Promise<ReadonlyMap<string, Refusal>> {
  return withSource(
    databaseUrl,
    async (db) => sortFindings(catalog, await checkCatalog(db, catalog)).refused,
  );
}

/** Undefined stands for the account whose key it is. */
async function chosenAccounts(
  api: VerifyApi,
  control: pg.Pool,
  { account, export: exportId }: { account: readonly string[]; export?: string | undefined },
): Promise<(string | undefined)[]> {
  // The export says whose it is, and so does an account's own key.
  if (exportId !== undefined) return [undefined];
  if (account.length > 0) return [...new Set(account)];
  const isOperator = await api.ask('GET', '/admin/accounts?limit=1').then(
    () => true,
    (error: unknown) => {
      if (error instanceof SetupError) return false;
      throw error;
    },
  );
  if (!isOperator) return [undefined];
  const { rows } = await control.query<{ id: string }>('select id from accounts order by id');
  if (rows.length === 0)
    throw new SetupError('there is no account yet: create one with POST /admin/accounts');
  return rows.map(({ id }) => id);
}

async function findSourceId(control: pg.Pool, accountId: string): Promise<string> {
  const { rows } = await control.query<{ source_id: string }>(
    'select source_id from accounts where id = $1',
    [accountId],
  );
  if (rows[0] === undefined) {
    throw new SetupError(
      `the control store has no account ${accountId}: CONTROL_DATABASE_URL is not this API's`,
    );
  }
  return rows[0].source_id;
}
