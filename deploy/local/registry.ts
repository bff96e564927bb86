import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Child, ChildGroup } from './child-group.ts';
import { openClassArchive, pickGrace } from './class-archive.ts';
import { choosePort } from './ports.ts';
import { waitUntilUp } from './wait-until-up.ts';

const PREFERRED_PORT = 18_081;

const START_LIMIT_MS = 120_000;

const PROBE_TIMEOUT_MS = 3_000;

export interface LocalRegistry {
  readonly child: Child;
  /** Its Confluent-compatible API. */
  readonly url: string;
}

export interface RegistryOptions {
  readonly group: ChildGroup;
  readonly logPath: string;
  readonly java: string;
  /** The unpacked application. */
  readonly directory: string;
  readonly kafkaBrokers: string;
  /** Makes an archive of the classes at the stop, for later starts, where there is none. */
  readonly makesClassArchive?: boolean;
}

/** Starts Apicurio Registry with its state in Kafka, so that schemas are as durable as what they describe, and returns when it answers. */
export async function startRegistry(options: RegistryOptions): Promise<LocalRegistry> {
  const { group, logPath, java, directory, kafkaBrokers, makesClassArchive = false } = options;
  const jar = readdirSync(directory).find((name) => name.endsWith('-runner.jar'));
  if (jar === undefined)
    throw new Error(`no registry in ${directory}; delete the directory to have it downloaded again`);
  const port = await choosePort(PREFERRED_PORT);
  const archive = openClassArchive(dirname(directory), 'registry', java, makesClassArchive);
  const child = group.spawn({
    name: 'registry',
    command: java,
    args: [
      ...archive.args,
      '-Xmx384m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-XX:+ExitOnOutOfMemoryError',
      '-XX:-UsePerfData',
      '-jar',
      join(directory, jar),
    ],
    ...pickGrace(archive),
    env: {
      PATH: '/usr/bin:/bin',
      APICURIO_STORAGE_KIND: 'kafkasql',
      APICURIO_KAFKASQL_BOOTSTRAP_SERVERS: kafkaBrokers,
      QUARKUS_HTTP_HOST: '127.0.0.1',
      QUARKUS_HTTP_PORT: String(port),
      QUARKUS_LOG_LEVEL: 'WARN',
      QUARKUS_LOG_CATEGORY__IO_APICURIO__LEVEL: 'WARN',
      QUARKUS_HTTP_ACCESS_LOG_ENABLED: 'false',
      QUARKUS_LOG_CONSOLE_FORMAT: '%d{yyyy-MM-dd HH:mm:ss} %p %c: %m%e%n',
      QUARKUS_LOG_CONSOLE_COLOR: 'false',
      // Of three pools of the database in its memory, each otherwise of twenty connections from the start.
      ...Object.fromEntries(
        ['', 'BLUE_', 'GREEN_'].flatMap((pool) => [
          [`APICURIO_DATASOURCE_${pool}JDBC_INITIAL_SIZE`, '1'],
          [`APICURIO_DATASOURCE_${pool}JDBC_MIN_SIZE`, '1'],
        ]),
      ),
      // It would look for changed log levels every second.
      APICURIO_LOGCONFIGJOB_EVERY: 'off',
    },
    cwd: directory,
    logPath,
  });
  archive.keepOf(child);
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  const probe = async () => {
    const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`status ${response.status}`);
  };
  await waitUntilUp(child, probe, START_LIMIT_MS);
  return { child, url };
}
