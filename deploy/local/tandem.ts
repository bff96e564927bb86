#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describeError, SetupError } from '../../shared/runtime/errors.ts';
import { createLog, isLogLevel } from '../../shared/runtime/log.ts';
import { hideSecretsOf, redact } from '../../shared/runtime/redact.ts';
import { type Command, type CommandContext, findCommand, showCommand, showCommands } from './command.ts';
import { benchCommand } from './commands/bench.ts';
import { catalogCheckCommand } from './commands/catalog-check.ts';
import { catalogInitCommand } from './commands/catalog-init.ts';
import { dataCommand } from './commands/data.ts';
import { demoCommand } from './commands/demo.ts';
import { sourcePrepareCommand } from './commands/source-prepare.ts';
import { sourceStatusCommand } from './commands/source-status.ts';
import { stackCommand } from './commands/stack.ts';
import { startCommand } from './commands/start.ts';
import { verifyCommand } from './commands/verify.ts';
import { INTERRUPTED_EXIT_CODE, onStopRequest } from './stop-request.ts';

/** A command is added by its import and its place here. */
const COMMANDS: readonly Command[] = [
  startCommand,
  demoCommand,
  catalogInitCommand,
  catalogCheckCommand,
  sourcePrepareCommand,
  sourceStatusCommand,
  verifyCommand,
  dataCommand,
  benchCommand,
  stackCommand,
];

const USAGE_EXIT_CODE = 2;

async function main(words: string[]): Promise<number> {
  const found = findCommand(COMMANDS, words);
  if (found === undefined) {
    const asked = words.length === 0 || words[0] === '--help' || words[0] === '-h' || words[0] === 'help';
    if (!asked) console.error(`tandem: there is no command "${words.join(' ')}"\n`);
    (asked ? console.log : console.error)(showCommands(COMMANDS));
    return asked ? 0 : USAGE_EXIT_CODE;
  }
  const { command, args } = found;
  if (args.includes('--help') || args.includes('-h')) {
    console.log(showCommand(command));
    return 0;
  }
  const context = createContext();
  try {
    return await command.run(args, context);
  } catch (error) {
    if (context.signal.aborted && error === context.signal.reason) return INTERRUPTED_EXIT_CODE;
    return report(command, error);
  }
}

function createContext(): CommandContext {
  if (existsSync('.env')) process.loadEnvFile('.env');
  const { env } = process;
  hideSecretsOf(env);
  const level = env.LOG_LEVEL ?? 'warn';
  return {
    env,
    home: resolve(env.TANDEM_HOME || '.tandem'),
    say: (line) => console.log(redact(line)),
    log: createLog(isLogLevel(level) ? level : 'warn', { service: 'tandem' }),
    signal: onStopRequest(env),
  };
}

function report(command: Command, error: unknown): number {
  if (error instanceof SetupError) {
    console.error(redact(`tandem ${command.name}: ${error.message}`));
    return USAGE_EXIT_CODE;
  }
  const code = (error as { code?: unknown } | null)?.code;
  if (error instanceof Error && typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')) {
    console.error(`tandem ${command.name}: ${error.message}\n\n${showCommand(command)}`);
    return USAGE_EXIT_CODE;
  }
  console.error(redact(`tandem ${command.name} failed: ${JSON.stringify(describeError(error), null, 2)}`));
  return 1;
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

process.exit(await main(process.argv.slice(2)));
