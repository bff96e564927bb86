import { CommanderError, InvalidArgumentError, Command as Program } from 'commander';
import type { Env } from '../../shared/runtime/env.ts';
import { describeError, SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { redact } from '../../shared/runtime/redact.ts';
import type { During } from './during.ts';
import { INTERRUPTED_EXIT_CODE } from './stop-request.ts';

/** What every command is given. */
export interface CommandContext {
  readonly env: Env;
  /** Where data, logs, keys and records of running processes are kept on this machine. */
  readonly home: string;
  /** For a person: one line on standard output. */
  readonly say: (line: string) => void;
  /**
   * For a program: one line of records on standard output, as it is. Secrets are not taken out: a text that is one by chance
   * would be missing from a record.
   */
  readonly data: (line: string) => void;
  /** For a person: one line on standard error, which leaves standard output to results. */
  readonly note: (line: string) => void;
  /** Around a step that may take longer than two seconds. */
  readonly during: During;
  /** For a machine: JSON lines on standard error. */
  readonly log: Log;
  /** Aborts on Ctrl-C and SIGTERM; a command then stops what it has started and returns. */
  readonly signal: AbortSignal;
}

export type Users = 'customers' | 'operators';

/** Runs a command's work with its context. The number is the exit code. */
export type Perform = (work: (context: CommandContext) => Promise<number>) => Promise<void>;

/** One command of `tandem`. */
export interface Command {
  /** One word or two, as typed: `start`, `catalog check`. */
  readonly name: string;
  /** What it does, in one line of the list of commands. */
  readonly summary: string;
  /** Customers have an API key; operators have the database too. Default: operators. */
  readonly users?: Users;
  /** Command lines to copy, shown below its options. */
  readonly examples?: readonly string[];
  /** It lists wrong settings itself, so it runs with a wrong LOG_LEVEL too. */
  readonly showsSettings?: true;
  /** What else a person needs to know, shown below its options. */
  readonly notes?: string;
  /**
   * Declares arguments and options, and the action, which calls `perform`.
   * A SetupError that the work throws is for the operator to put right: shown without a stack, exit code 2.
   */
  declare(program: Program, perform: Perform): void;
}

const USAGE_EXIT_CODE = 2;

/** What groups of commands are about, by their first word. */
const GROUPS: Readonly<Record<string, string>> = {
  exports: 'create, follow and download exports',
  events: 'read the feed of changes',
  webhooks: 'have every change delivered to your server',
  bulk: 'change many records at once',
  replica: "keep a copy of the account's records",
  catalog: 'draft and check a catalog',
  source: 'prepare and check the source database',
  migrate: 'migrate the control store',
  topics: 'create and check the Kafka topics',
  config: 'show the settings',
};

const HEADINGS: Readonly<Record<Users, string>> = {
  customers: 'For customers, with an API key:',
  operators: 'For operators:',
};

export interface ProgramOptions {
  readonly commands: readonly Command[];
  readonly version: string;
  /** Called once the words are understood. A SetupError is shown as that of a command's work. */
  readonly createContext: (command: Command) => CommandContext;
}

/** The command line as commander parses it. `setExitCode` gets what a command's work returned. */
export function createProgram(
  { commands, version, createContext }: ProgramOptions,
  setExitCode: (code: number) => void,
): Program {
  const root = quiet(new Program('tandem'))
    .description('Bulk export and change feed, in tandem.')
    .version(version)
    .helpCommand(false);
  for (const command of commands) {
    const words = command.name.split(' ');
    const heading = HEADINGS[command.users ?? 'operators'];
    const parent = words.length === 1 ? root : groupOf(root, words[0] ?? '', heading);
    const program = quiet(parent.command(words.at(-1) ?? '')).description(command.summary);
    if (parent === root) program.helpGroup(heading);
    if (command.examples !== undefined) {
      program.addHelpText('after', `\nExamples:\n${command.examples.map((line) => `  ${line}`).join('\n')}`);
    }
    if (command.notes !== undefined) program.addHelpText('after', `\n${command.notes.trimEnd()}`);
    command.declare(program, async (work) => {
      setExitCode(await runReported(command, createContext, work));
    });
  }
  return root;
}

/** Runs `tandem` with the words typed after it. @returns the exit code */
export async function runProgram(options: ProgramOptions, words: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram(options, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...words], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help that was asked for is no mistake; help for want of a command is.
    return error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
  }
}

/** Parses an option's value as a whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** Parses an option that may be given several times. */
export function collect(text: string, earlier: readonly string[]): string[] {
  return [...earlier, text];
}

function groupOf(root: Program, word: string, heading: string): Program {
  const known = root.commands.find((one) => one.name() === word);
  return (
    known ??
    quiet(root.command(word))
      .description(GROUPS[word] ?? word)
      .helpGroup(heading)
      .helpCommand(false)
  );
}

function quiet(program: Program): Program {
  return program.exitOverride().showHelpAfterError('(add --help for more)');
}

async function runReported(
  command: Command,
  createContext: (command: Command) => CommandContext,
  work: (context: CommandContext) => Promise<number>,
): Promise<number> {
  let signal: AbortSignal | undefined;
  try {
    const context = createContext(command);
    signal = context.signal;
    return await work(context);
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return INTERRUPTED_EXIT_CODE;
    if (error instanceof SetupError) {
      console.error(redact(`tandem ${command.name}: ${error.message}`));
      return USAGE_EXIT_CODE;
    }
    console.error(redact(`tandem ${command.name} failed: ${JSON.stringify(describeError(error), null, 2)}`));
    return 1;
  }
}
