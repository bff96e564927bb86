import type { Command as Program } from 'commander';
import { Tandem, TandemError } from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { hideFromOutput } from '../../../shared/runtime/redact.ts';
import type { Command, CommandContext } from '../command.ts';
import { createDuring } from '../during.ts';
import { describeFailure, failureDocument } from './describe-failure.ts';
import { findLogin, type Login } from './profiles.ts';

/** What a customer's command is given. Progress and advice go to standard error, results to standard output. */
export interface Customer extends CommandContext {
  readonly isJson: boolean;
  /** The URL and the key. @throws SetupError when there are none */
  readonly login: () => Login;
  /** A client of the login. @throws SetupError as `login` does */
  readonly client: () => Tandem;
  /** A client of another login. @throws SetupError for a URL or a key that cannot be one */
  readonly connect: (login: Pick<Login, 'url' | 'key'>, maxRetries?: number) => Tandem;
  /** A result: one line of JSON with `--json`, else the lines for a person. */
  readonly print: (value: unknown, lines: readonly string[]) => void;
}

/** Options of every customer's command. */
interface CommonOptions {
  readonly json: boolean;
  readonly profile?: string;
}

export interface CustomerCommand<Options> {
  readonly name: string;
  readonly summary: string;
  readonly notes?: string;
  readonly examples: readonly string[];
  /** Declares arguments and options of its own. */
  readonly declare?: (program: Program) => void;
  /** The exit code of a failure. Default: 1. */
  readonly failureCode?: number;
  /** @returns the exit code; none is 0 */
  readonly run: (
    customer: Customer,
    options: Options & { readonly profile?: string },
    args: readonly string[],
  ) => Promise<number | undefined>;
}

/**
 * A command that needs nothing but the API. What the API refuses, and what the network or the file system do, ends it with
 * exit code 1 and the problem's text; with `--json` the problem is one line of JSON on standard error.
 */
export function customerCommand<Options>({ declare, run, ...command }: CustomerCommand<Options>): Command {
  return {
    ...command,
    users: 'customers',
    declare(program, perform) {
      declare?.(program);
      program
        .option('--json', 'print results as lines of JSON', false)
        .option('--profile <name>', 'whose URL and key are used (or TANDEM_PROFILE)')
        .action(() => {
          const options = program.opts<Options & CommonOptions>();
          return perform((context) =>
            runReported(command, context, options, (customer) => run(customer, options, program.args)),
          );
        });
    },
  };
}

async function runReported(
  { name, failureCode = 1 }: Pick<CustomerCommand<never>, 'name' | 'failureCode'>,
  context: CommandContext,
  { json: isJson, profile }: CommonOptions,
  work: (customer: Customer) => Promise<number | undefined>,
): Promise<number> {
  const { signal, note, say, data } = context;
  const login = () => findLogin(context.env, profile);
  let url: string | undefined;
  const connect: Customer['connect'] = (to, maxRetries) => {
    url = to.url;
    hideFromOutput(to.key);
    return openClient(to, maxRetries);
  };
  const customer: Customer = {
    ...context,
    during: createDuring(note),
    isJson,
    login,
    client: () => connect(login()),
    connect,
    print: (value, lines) => {
      if (isJson) data(JSON.stringify(value));
      else for (const line of lines) say(line);
    },
  };
  try {
    return (await work(customer)) ?? 0;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const lines = describeFailure(error, url);
    if (lines === undefined) throw error;
    if (isJson) note(JSON.stringify(failureDocument(error)));
    else note([`tandem ${name}: ${lines[0]}`, ...lines.slice(1)].join('\n'));
    return failureCode;
  }
}

function openClient({ url, key }: Pick<Login, 'url' | 'key'>, maxRetries: number | undefined): Tandem {
  try {
    return new Tandem({ baseUrl: url, key, maxRetries });
  } catch (error) {
    if (error instanceof TandemError) throw new SetupError(error.message);
    throw error;
  }
}

/** Shows what to do next when the work is interrupted. */
export async function orSay<T>(
  { signal, note }: Customer,
  advice: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) note(advice);
    throw error;
  }
}

/** Work that has no end of its own, such as following the feed: Ctrl-C is its normal end. */
export async function untilStopped(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
