import { Argument } from 'commander';
import type { Command } from '../command.ts';
import { completionScript, SHELLS, type Shell } from '../completion.ts';

/** Printed, and loaded by the shell's own start-up file: nothing is written to a home directory behind its owner's back. */
export const completionCommand: Command = {
  name: 'completion',
  summary: 'print a script that completes commands and options in your shell',
  notes: 'For bash: `source <(tandem completion bash)` in ~/.bashrc; zsh and fish likewise.',
  declare(program, perform) {
    program.addArgument(new Argument('<shell>').choices(SHELLS)).action((shell: Shell) =>
      perform(async ({ say }) => {
        say(completionScript(program.parent ?? program, shell));
        return 0;
      }),
    );
  },
};
