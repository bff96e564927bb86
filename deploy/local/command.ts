import type { Env } from '../../shared/runtime/env.ts';
import type { Log } from '../../shared/runtime/log.ts';

/** What every command is given. */
export interface CommandContext {
  readonly env: Env;
  /** Where data, logs, keys and records of running processes are kept on this machine. */
  readonly home: string;
  /** For a person: one line on standard output. */
  readonly say: (line: string) => void;
  /** For a machine: JSON lines on standard error. */
  readonly log: Log;
  /** Aborts on Ctrl-C and SIGTERM; a command then stops what it has started and returns. */
  readonly signal: AbortSignal;
}

/** One command of `tandem`. */
export interface Command {
  /** One word or two, as typed: `start`, `catalog check`. */
  readonly name: string;
  /** What it does, in one line of the list of commands. */
  readonly summary: string;
  /** Arguments and options, as `tandem <name> --help` shows them below the summary; empty when there are none. */
  readonly help: string;
  /**
   * Parses its own arguments (with `parseArgs`, whose errors are shown with the way to the help) and returns the exit code.
   * @throws SetupError for what the operator has to put right: shown without a stack, exit code 2
   */
  run(args: string[], context: CommandContext): Promise<number>;
}

/** The command that the words begin with, and the words left over; the longest name wins. */
export function findCommand(
  commands: readonly Command[],
  words: readonly string[],
): { command: Command; args: string[] } | undefined {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = words.length >= length ? commands.find((one) => one.name === name) : undefined;
    if (command !== undefined) return { command, args: words.slice(length) };
  }
  return undefined;
}

/** The list of commands, for `tandem --help` and after a wrong word. */
export function showCommands(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'usage: tandem <command> [options]',
    '',
    ...lines,
    '',
    '`tandem <command> --help` shows its options.',
  ].join('\n');
}

/** One command's own help. */
export function showCommand({ name, summary, help }: Command): string {
  return [`tandem ${name}: ${summary}`, ...(help === '' ? [] : ['', help.trimEnd()])].join('\n');
}
