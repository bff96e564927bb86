import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A program that runs until it is killed. */
export interface Program {
  /** What it has printed so far, over all its starts. */
  readonly output: string;
  readonly child: ChildProcess | undefined;
  /** Starts it again, after `kill`. */
  start(): void;
  /** By SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
}

export function startProgram(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Program {
  const program = {
    output: '',
    child: undefined as ChildProcess | undefined,
    start() {
      const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (data) => {
          program.output += data;
        });
      }
      program.child = child;
    },
    async kill() {
      const { child } = program;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
  program.start();
  return program;
}
