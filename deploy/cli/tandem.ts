#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { envReader } from '../../shared/runtime/env.ts';
import { createLog, readLogLevel } from '../../shared/runtime/log.ts';
import { hideSecretsOf, redact } from '../../shared/runtime/redact.ts';
import { productVersion } from '../../shared/runtime/version.ts';
import { type Command, type CommandContext, runProgram } from './command.ts';
import { benchCommand } from './commands/bench.ts';
import { catalogCheckCommand } from './commands/catalog-check.ts';
import { catalogInitCommand } from './commands/catalog-init.ts';
import { completionCommand } from './commands/completion.ts';
import { dataCommand } from './commands/data.ts';
import { demoCommand } from './commands/demo.ts';
import { migrateApplyCommand, migrateStatusCommand } from './commands/migrate.ts';
import { sourcePrepareCommand } from './commands/source-prepare.ts';
import { sourceStatusCommand } from './commands/source-status.ts';
import { stackCommand } from './commands/stack.ts';
import { startCommand } from './commands/start.ts';
import { verifyCommand } from './commands/verify.ts';
import { eventsTailCommand } from './customer/events-tail.ts';
import { exportCommands } from './customer/exports.ts';
import { loginCommand, logoutCommand, whoamiCommand } from './customer/login.ts';
import { replicaSyncCommand } from './customer/replica-sync.ts';
import { createDuring } from './during.ts';
import { onStopRequest } from './stop-request.ts';

/** A command is added by its import and its place here. */
const COMMANDS: readonly Command[] = [
  loginCommand,
  logoutCommand,
  whoamiCommand,
  ...exportCommands,
  eventsTailCommand,
  replicaSyncCommand,
  startCommand,
  demoCommand,
  catalogInitCommand,
  catalogCheckCommand,
  sourcePrepareCommand,
  sourceStatusCommand,
  migrateStatusCommand,
  migrateApplyCommand,
  verifyCommand,
  dataCommand,
  benchCommand,
  stackCommand,
  completionCommand,
];

function createContext(): CommandContext {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const { env: all } = process;
  // An empty variable counts as not set, as in the services.
  const env = Object.fromEntries(Object.entries(all).filter(([, value]) => value?.trim() !== ''));
  hideSecretsOf(env);
  const read = envReader(env);
  const level = read.done(readLogLevel(read, 'warn'));
  const say = (line: string) => console.log(redact(line));
  return {
    env,
    home: resolve(env.TANDEM_HOME || '.tandem'),
    say,
    note: (line) => console.error(redact(line)),
    during: createDuring(say),
    log: createLog(level, { service: 'tandem' }),
    signal: onStopRequest(env),
  };
}

// The reader of our output may be gone before us (a closed pager, a killed npm); that must not end us in the middle of a stop.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

// The Kafka client sets timers in the past, which Node tells about at every start, as it does of SQLite being new in it; the
// operator can do nothing about either.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (!['TimeoutNegativeWarning', 'ExperimentalWarning'].includes(warning.name))
    console.error(`${warning.name}: ${warning.message}`);
});

process.exit(
  await runProgram({ commands: COMMANDS, version: productVersion(), createContext }, process.argv.slice(2)),
);
