import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startStack } from '../../deploy/local/stack.ts';
import type { ServiceName } from '../../deploy/local/supervise.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { createLog } from '../../shared/runtime/log.ts';
import { CHAOS_POSTGRES, runChaos } from '../chaos/run-chaos.ts';
import { openOwnPostgres } from '../support/own-postgres.ts';
import { openSilentProxy, type SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { checkOut } from './other-checkout.ts';
import { replaceServices, UPGRADE_ORDER } from './replace-services.ts';
import { switchSets } from './switch-sets.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXPORT_LIMIT_MS = 300_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '2000' },
    rate: { type: 'string', default: '50' },
    copies: { type: 'string', default: '2' },
    back: { type: 'boolean', default: true },
    'blue-green': { type: 'boolean', default: false },
  },
  allowNegative: true,
});
const [ref] = positionals;
if (ref === undefined) {
  console.error(
    'name the commit to upgrade from: npm run test:upgrade -- v0.1.0 [--blue-green] [--no-back] [--copies 2]',
  );
  process.exit(2);
}

const startedMs = Date.now();
const say = (line: string) =>
  console.log(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(6)} s  ${line}`);
const log = createLog('error');
const migrationsOf = (root: string) => readdirSync(join(root, 'shared', 'control', 'migrations'));

const faults = await run(ref).catch((error: unknown) => {
  // The other version refuses what it meets, as after a migration that was changed before its release.
  if (error instanceof SetupError) return [error.message];
  throw error;
});
for (const fault of faults) say(fault);
say(faults.length === 0 ? 'EQUAL' : 'NOT EQUAL');
process.exit(faults.length === 0 ? 0 : 1);

/**
 * Starts the services of another commit, and replaces them under load by those of this tree, and back: process by process, or one
 * whole set by another. @returns what did not hold; every export's files with the feed after it must be the source, as after a run
 * of chaos
 */
async function run(from: string): Promise<readonly string[]> {
  await using cleanup = new AsyncDisposableStack();
  const old = cleanup.use(checkOut(from));
  say(`from ${old.commit}`);
  const known = migrationsOf(old.directory);
  const added = migrationsOf(ROOT).filter((name) => !known.includes(name));
  say(added.length === 0 ? 'the control store stays as it is' : `migrations: ${added.join(', ')}`);
  const home = mkdtempSync(join(tmpdir(), 'tandem-upgrade-run-'));
  cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
  const postgres = cleanup.use(await openOwnPostgres(CHAOS_POSTGRES));
  const databaseUrl = postgres.url('postgres');
  const stack = await startStack({
    home,
    env: { ...process.env, DATABASE_URL: databaseUrl, CONTROL_DATABASE_URL: databaseUrl },
    log,
    say: console.log,
  });
  cleanup.defer(() => stack.stop());

  const roots = new Map<ServiceName, string>();
  const done = Promise.withResolvers<void>();
  let exportCount = 0;
  const untilWorked = async (exports = 1) => {
    const wanted = exportCount + exports;
    await waitFor('more exports', () => exportCount >= wanted, EXPORT_LIMIT_MS);
  };
  let front: SilentProxy | undefined;
  const result = await runChaos({
    databaseUrl,
    kafkaBrokers: stack.kafkaBrokers,
    schemaRegistryUrl: stack.schemaRegistryUrl,
    directory: home,
    mainOf: (name) => join(roots.get(name) ?? old.directory, 'services', name, 'main.ts'),
    ...(values['blue-green'] && {
      async frontOf(apiUrl) {
        front = cleanup.use(await openSilentProxy('127.0.0.1', Number(new URL(apiUrl).port)));
        return `http://127.0.0.1:${front.port}`;
      },
    }),
    async breakThings(world, _signal, atEnd) {
      const replace = (root: string, order: readonly ServiceName[]) =>
        replaceServices({ world, order, switchTo: (name) => void roots.set(name, root), untilWorked, say });
      try {
        await untilWorked();
        if (front !== undefined) {
          const roots = values.back ? [ROOT, old.directory] : [ROOT];
          const switching = { world, front, roots, directory: home, log, cleanup: atEnd, untilWorked, say };
          return { sets: await switchSets(switching) };
        }
        const forth = await replace(ROOT, UPGRADE_ORDER);
        say('all processes are of this tree');
        if (!values.back) return { forth };
        const back = await replace(old.directory, UPGRADE_ORDER.toReversed());
        say(`all processes are of ${from} again`);
        return { forth, back };
      } finally {
        done.resolve();
      }
    },
    until: () => done.promise,
    seed: 1,
    exportKinds: ['single'],
    copies: Number(values.copies),
    rows: Number(values.rows),
    perSecond: Number(values.rate),
    log,
    say,
    onLoaded: () => {
      exportCount += 1;
    },
  });
  const { faults: found, ...counts } = result;
  say(JSON.stringify(counts));
  return found;
}
