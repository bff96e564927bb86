import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { type Env, envReader } from '../../../shared/runtime/env.ts';
import { readBaseConfig } from '../../../shared/service/base-config.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';
import { readServiceSettings } from '../declared-settings.ts';
import { Area, type Finding, failure, ok, type Status } from '../doctor/area.ts';
import { examineControlStore } from '../doctor/control-store.ts';
import { examineKafka } from '../doctor/kafka.ts';
import { examineMachine } from '../doctor/machine.ts';
import { examineRegistry } from '../doctor/registry.ts';
import { examineSource } from '../doctor/source.ts';
import { examineStorage } from '../doctor/storage.ts';

const DEFAULT_LIMIT_SECONDS = 10;

/** What to run before the services start, and when nobody knows what is wrong. */
export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check everything that the services need: databases, Kafka, registry, storage, disk, DNS',
  showsSettings: true,
  examples: ['tandem doctor', 'tandem doctor --json | jq ".checks[] | select(.status != \\"ok\\")"'],
  notes: `Exits 0 without a failure (warnings do not count), 1 with one. Reads the settings of the services; where a Tandem runs
here, its own. It changes nothing but one small file in the storage, which it deletes. Run it where the services run.`,
  declare(program, perform) {
    program
      .option('--timeout <seconds>', 'time for one attempt', wholeNumber(1, 600), DEFAULT_LIMIT_SECONDS)
      .option('--json', 'print one JSON object instead of lines', false)
      .action((options: DoctorOptions) => perform((context) => examine(context, options)));
  },
};

interface DoctorOptions {
  readonly timeout: number;
  readonly json: boolean;
}

async function examine(context: CommandContext, { timeout, json }: DoctorOptions): Promise<number> {
  const { env, home, say, during, note, signal } = context;
  const running = findRunningTandem(home);
  const all: Env = {
    ...running?.parts,
    // The services of a Tandem that runs here have secrets of their own, which no check needs.
    ...(running === null
      ? {}
      : { ADMIN_KEY: running.adminKey, SECRET_KEY: running.adminKey, PUBLIC_URL: running.apiUrl }),
    ...env,
  };
  const work = () => examineAll(all, timeout * 1_000, signal);
  const findings = json ? await work() : await during('checking', work);
  const count = (status: Status) => findings.filter((finding) => finding.status === status).length;
  if (json) {
    say(JSON.stringify({ ok: count('failure') === 0, checks: findings.map(toJson) }));
  } else {
    for (const line of lines(findings)) say(line);
    note(`${count('ok')} ok, ${count('warning')} warnings, ${count('failure')} failures`);
  }
  return count('failure') === 0 ? 0 : 1;
}

async function examineAll(env: Env, limitMs: number, signal: AbortSignal): Promise<readonly Finding[]> {
  const services = readServiceSettings(env);
  const settings = new Area('settings', limitMs, signal);
  const problems = [...new Set(services.flatMap((one) => one.problems))];
  const fix = 'correct it; `tandem config list` shows every setting';
  for (const problem of problems) settings.add('read', failure(problem, fix));
  if (problems.length === 0) settings.add('read', ok('every service accepts its settings'));

  // What is wrong is reported above, and left out here.
  const isGiven = (name: string) =>
    env[name]?.trim() && !problems.some((problem) => problem.startsWith(`${name} `));
  const read = envReader(env);
  const config = readBaseConfig(read, [
    'sourceUrl',
    'controlUrl',
    'kafka',
    'schemaRegistryUrl',
    'storageUrl',
    'catalogPath',
    'topicPrefix',
    'topicSettings',
    'slotName',
    'slotThresholds',
    'publicationName',
  ]);
  const { topicPrefix: prefix } = config;
  let catalog: Catalog | undefined;
  if (isGiven('CATALOG')) {
    catalog = await settings.attempt(
      'catalog',
      'correct the file that CATALOG names',
      () => loadCatalog(config.catalogPath),
      (loaded) => ok(`${config.catalogPath}: ${loaded.resources.length} resources`),
    );
  }
  const areas: Area[] = [settings];
  const runs: Promise<void>[] = [];
  const begin = (name: string, run: (area: Area) => Promise<void>) => {
    const area = new Area(name, limitMs, signal);
    areas.push(area);
    runs.push(run(area));
  };
  if (isGiven('DATABASE_URL')) {
    const { publicationName: publication, slotName: slot, slotThresholds: thresholds } = config;
    const url = config.sourceUrl.reveal();
    begin('source', (area) => examineSource(area, { url, catalog, publication, slot, thresholds }));
  }
  if (isGiven('CONTROL_DATABASE_URL') || isGiven('DATABASE_URL')) {
    begin('control store', (area) => examineControlStore(area, { url: config.controlUrl.reveal() }));
  }
  if (isGiven('KAFKA_BROKERS')) {
    begin('kafka', (area) =>
      examineKafka(area, { config: config.kafka, settings: config.topicSettings, prefix, catalog }),
    );
  }
  if (isGiven('SCHEMA_REGISTRY_URL')) {
    const hasControlStore = isGiven('CONTROL_DATABASE_URL') || isGiven('DATABASE_URL');
    const controlUrl = hasControlStore ? config.controlUrl.reveal() : undefined;
    begin('registry', (area) => examineRegistry(area, { url: config.schemaRegistryUrl, prefix, controlUrl }));
  }
  const storageUrl = config.storageUrl.reveal();
  const hasStorage = isGiven('STORAGE_URL') && !problems.some((problem) => problem.startsWith('STORAGE_URL'));
  if (hasStorage) begin('storage', (area) => examineStorage(area, { url: config.storageUrl }));
  const declared = services.flatMap((one) => one.declared);
  const scratch = declared.find(({ name }) => name === 'WRITER_SCRATCH_DIR')?.fallback ?? '.';
  const publicUrl = env.PUBLIC_URL?.trim();
  begin('machine', (area) =>
    examineMachine(area, {
      scratchDirectory: env.WRITER_SCRATCH_DIR?.trim() || scratch,
      storageDirectory: hasStorage && storageUrl.startsWith('file:') ? storageUrl : undefined,
      publicUrl: publicUrl && URL.canParse(publicUrl) ? publicUrl : undefined,
    }),
  );
  await Promise.all(runs);
  return areas.flatMap(({ findings }) => findings);
}

function toJson({ area, what, status, detail, fix }: Finding): unknown {
  return { area, what, status, detail, fix: fix ?? null };
}

function lines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ area, what }) => `${area}: ${what}`.length));
  return findings.flatMap(({ area, what, status, detail, fix }) => [
    `${status.padEnd(8)} ${`${area}: ${what}`.padEnd(width)}  ${detail}`,
    ...(fix === undefined || fix === '' ? [] : [`${' '.repeat(9)}→ ${fix}`]),
  ]);
}
