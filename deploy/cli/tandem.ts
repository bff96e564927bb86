#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { envReader } from '../../shared/runtime/env.ts';
import { createLog, readLogLevel } from '../../shared/runtime/log.ts';
import { hideSecretsOf, redact } from '../../shared/runtime/redact.ts';
import { productVersion } from '../../shared/runtime/version.ts';
import { type Command, type CommandContext, runProgram } from './command.ts';
import { CUSTOMER_COMMANDS } from './customer/customer-commands.ts';
import { createDuring } from './during.ts';
import { onStopRequest } from './stop-request.ts';

/**
 * A customer's command starts without the code of the operator's, whose clients of databases and Kafka take longer to load
 * than a request takes. Help and suggestions need all commands.
 */
async function loadCommands(firstWord: string | undefined): Promise<readonly Command[]> {
  if (CUSTOMER_COMMANDS.some(({ name }) => name.split(' ')[0] === firstWord)) return CUSTOMER_COMMANDS;
  const { OPERATOR_COMMANDS } = await import('./commands/operator-commands.ts');
  return [...CUSTOMER_COMMANDS, ...OPERATOR_COMMANDS];
}

function createContext({ showsSettings }: Command): CommandContext {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const { env: all } = process;
  // An empty variable counts as not set, as in the services.
  const env = Object.fromEntries(Object.entries(all).filter(([, value]) => value?.trim() !== ''));
  hideSecretsOf(env);
  const read = envReader(env);
  const level = readLogLevel(read, 'warn');
  if (showsSettings !== true) read.done(level);
  const say = (line: string) => console.log(redact(line));
  return {
    env,
    home: resolve(env.TANDEM_HOME || '.tandem'),
    say,
    data: (line) => console.log(line),
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

const words = process.argv.slice(2);
const commands = await loadCommands(words[0]);
process.exit(await runProgram({ commands, version: productVersion(), createContext }, words));
