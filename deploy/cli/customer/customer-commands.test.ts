import { readFileSync } from 'node:fs';
import type { Command as Program } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../command.ts';
import { CUSTOMER_COMMANDS } from './customer-commands.ts';

const GUIDE = new URL('../../../services/api/docs/guides/commands.md', import.meta.url);

/** The command lines of the guide, and the examples of each command's help. */
const LINES = [
  ...[...readFileSync(GUIDE, 'utf8').matchAll(/```bash\n([\s\S]*?)```/g)].flatMap(([, code = '']) =>
    code.split('\n'),
  ),
  ...CUSTOMER_COMMANDS.flatMap(({ examples = [] }) => examples),
]
  .map((line) => line.replace(/ +#.*| [|<].*/, ''))
  .filter((line) => line.startsWith('tandem '));

/** @returns the options of a command line that its command does not have; undefined without such a command */
function unknownOptions(program: Program, line: string): string[] | undefined {
  const [, ...words] = line.split(' ');
  let command = program;
  while (command.commands.length > 0) {
    const next = command.commands.find((each) => each.name() === words[0]);
    if (next === undefined) return words[0] === '--help' ? [] : undefined;
    command = next;
    words.shift();
    if (words[0] === '--help') return [];
  }
  const known = new Set(command.options.map(({ long }) => long));
  return words.filter((word) => word.startsWith('--') && word !== '--help' && !known.has(word));
}

test('the command lines of the guide and of the help are understood', () => {
  const program = createProgram(
    {
      commands: CUSTOMER_COMMANDS,
      version: '1',
      createContext: () => {
        throw new Error('nothing runs');
      },
    },
    () => undefined,
  );
  expect(LINES.length).toBeGreaterThan(25);
  const wrong = LINES.filter((line) => unknownOptions(program, line)?.length !== 0);
  expect(wrong).toEqual([]);
});
