import { Argument, type Command as Program } from 'commander';
import type { Command } from '../command.ts';

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

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

/** What may follow: the words typed so far, without options, and the words that can come next. */
interface Step {
  readonly after: string;
  readonly words: readonly string[];
}

/** A script that makes the shell complete the commands and options of `tandem`. */
export function completionScript(root: Program, shell: Shell): string {
  const steps = stepsOf(root, []);
  if (shell === 'fish') return fishScript(steps);
  const cases = steps.map(({ after, words }) => `    "${after}") words="${words.join(' ')}" ;;`).join('\n');
  const bash = `_tandem() {
  local typed="" words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || typed="\${typed:+$typed }$word"
  done
  case "$typed" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _tandem tandem`;
  return shell === 'zsh' ? `autoload -U +X bashcompinit && bashcompinit\n${bash}` : bash;
}

function stepsOf(program: Program, path: readonly string[]): Step[] {
  const options = program.options.flatMap(({ long }) => (long == null ? [] : [long]));
  const here = {
    after: path.join(' '),
    words: [...program.commands.map((one) => one.name()), ...options, '--help'],
  };
  return [here, ...program.commands.flatMap((one) => stepsOf(one, [...path, one.name()]))];
}

function fishScript(steps: readonly Step[]): string {
  const lines = steps.map(({ after, words }) => {
    const condition = `test (string join " " (string match -v -- "-*" (commandline -opc)[2..])) = "${after}"`;
    return `complete -c tandem -f -n '${condition}' -a "${words.join(' ')}"`;
  });
  return lines.join('\n');
}
