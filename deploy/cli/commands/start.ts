import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../../../shared/runtime/env.ts';
import { maskUrl } from '../../../shared/runtime/redact.ts';
import { createApiClient } from '../../demo/api-client.ts';
import { keepSecret } from '../../local/kept-secret.ts';
import { startTandem, type Tandem } from '../../local/start-tandem.ts';
import { type Command, type CommandContext, wholeNumber } from '../command.ts';
import { untilAborted } from '../stop-request.ts';

const MAX_SAMPLE_ROWS = 100_000_000;

/** Everything on one machine, until Ctrl-C. */
export const startCommand: Command = {
  name: 'start',
  summary: 'start everything on this machine, and stay until Ctrl-C',
  notes: `What is not given by a variable is started here: DATABASE_URL, CONTROL_DATABASE_URL, KAFKA_BROKERS,
SCHEMA_REGISTRY_URL and STORAGE_URL each replace a part. Data is kept in .tandem (or TANDEM_HOME).
The sample data is that of the CATALOG, if it is one of schemas/catalogs; by default DocuMint's.`,
  declare(program, perform) {
    program
      .option(
        '--rows <number>',
        "records of the sample data's main resource, made at the first start (default 10000)",
        wholeNumber(0, MAX_SAMPLE_ROWS),
      )
      .action(({ rows }: { rows?: number }) => perform((context) => start(context, rows)));
  },
};

async function start(
  { env, home, say, during, log, signal }: CommandContext,
  sampleRows: number | undefined,
): Promise<number> {
  const options = { home, env, log, say, signal, ...(sampleRows === undefined ? {} : { sampleRows }) };
  await using tandem = await during('starting', () => startTandem(options));
  await announce(tandem, home, env, say);
  const failure = await Promise.race([tandem.failed, untilAborted(signal)]);
  say('stopping');
  if (failure === undefined) return 0;
  throw failure;
}

/** What is pasted into a chat or kept by a log collector must hold no password: those of parts started here are in their files. */
async function announce(tandem: Tandem, home: string, env: Env, say: (line: string) => void): Promise<void> {
  const { stack, apiUrl, adminKey } = tandem;
  const isOwnPostgres = stack.startedHere.postgres !== undefined;
  const facts = {
    API: apiUrl,
    'API reference': `${apiUrl}/docs`,
    PostgreSQL: `${maskUrl(stack.databaseUrl)}${isOwnPostgres ? ` (password: ${home}/postgres-password)` : ''}`,
    Kafka: stack.kafkaBrokers,
    'schema registry': maskUrl(stack.schemaRegistryUrl),
    storage: maskUrl(stack.storageUrl),
    logs: `${home}/logs`,
    'operator key': env.ADMIN_KEY?.trim() ? 'as set in ADMIN_KEY' : adminKey,
  };
  say('');
  for (const [name, value] of Object.entries(facts)) say(`  ${name.padEnd(16)} ${value}`);
  if (tandem.hasSample) {
    const key = await sampleAccountKey(home, apiUrl, adminKey);
    say('\nA customer of the sample data, to paste:\n');
    say(`export TANDEM_URL=${apiUrl}`);
    say(`export TANDEM_KEY=${key}`);
  }
  say(`\ntandem ready ${apiUrl}`);
}

/** The sample data's main account. */
const SAMPLE_SOURCE_ID = 'acc_001';

/**
 * A key of the sample data's main account, made at the first start and the same at every later one.
 * A kept key that the API does not know any more, because the control store is another, is replaced.
 */
async function sampleAccountKey(home: string, apiUrl: string, adminKey: string): Promise<string> {
  const path = join(home, 'demo-key');
  if (existsSync(path)) {
    const kept = readFileSync(path, 'utf8').trim();
    const response = await fetch(`${apiUrl}/exports?limit=1`, {
      headers: { authorization: `Bearer ${kept}` },
    });
    await response.arrayBuffer();
    if (response.ok) return kept;
  }
  const operator = createApiClient(apiUrl, adminKey);
  const { data } = await operator.call<{ data: { id: string; source_id: string }[] }>(
    'GET',
    '/admin/accounts?limit=100',
  );
  const account =
    data.find(({ source_id }) => source_id === SAMPLE_SOURCE_ID) ??
    (await operator.call<{ id: string }>('POST', '/admin/accounts', {
      name: 'Sample',
      source_id: SAMPLE_SOURCE_ID,
    }));
  const { key } = await operator.call<{ key: string }>('POST', `/admin/accounts/${account.id}/keys`, {
    name: 'sample',
  });
  keepSecret(path, key);
  return key;
}
