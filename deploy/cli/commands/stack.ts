import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { stackVariables, startStack } from '../../local/stack.ts';
import type { Command, CommandContext } from '../command.ts';
import { untilAborted } from '../stop-request.ts';

/** The parts without the services, for a developer who works on one or runs them by hand. */
export const stackCommand: Command = {
  name: 'stack',
  summary: 'start PostgreSQL, Kafka and the schema registry only, and stay',
  notes: 'Prints the variables that the services need.',
  declare(program, perform) {
    program
      .option('--write-env <path>', 'write the variables there, too, while it runs')
      .action(({ writeEnv }: { writeEnv?: string }) => perform((context) => runStack(writeEnv, context)));
  },
};

async function runStack(
  envFile: string | undefined,
  { env, home, say, during, log, signal }: CommandContext,
): Promise<number> {
  await using stack = await during('starting PostgreSQL, Kafka and the schema registry', () =>
    startStack({ home, env, say, log, signal }),
  );
  const lines = Object.entries(stackVariables(stack)).map(([name, value]) => `${name}=${value}`);
  for (const line of lines) say(line);
  if (envFile !== undefined) {
    // A process that waits for the file finds it whole or not at all.
    writeFileSync(`${envFile}.tmp`, `${lines.join('\n')}\n`);
    renameSync(`${envFile}.tmp`, envFile);
  }
  try {
    const failure = await Promise.race([stack.failed, untilAborted(signal)]);
    if (failure === undefined) return 0;
    say(`${failure.part} has ended; its log is ${failure.logPath}`);
    return 1;
  } finally {
    if (envFile !== undefined) rmSync(envFile, { force: true });
  }
}
