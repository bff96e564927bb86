import { Command as Program } from 'commander';
import type { Command, CommandContext } from '../../deploy/cli/command.ts';
import type { During } from '../../deploy/cli/during.ts';
import { silentLog } from '../../shared/runtime/log.ts';

/**
 * Runs one command of `tandem` in this process, with the words typed after its name. @returns its exit code and the
 * lines that it printed, which `onLine` gets at once. @throws what its work throws, which `tandem` itself would print
 */
export async function runCommand(
  command: Command,
  words: readonly string[],
  {
    onLine = () => undefined,
    ...context
  }: Pick<CommandContext, 'env' | 'home'> &
    Partial<Pick<CommandContext, 'signal'>> & { onLine?: (line: string) => void },
): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  let code = 0;
  const program = new Program().exitOverride();
  command.declare(program, async (work) => {
    const say = (line: string) => {
      lines.push(line);
      onLine(line);
    };
    const during: During = (_what, step) => step(() => undefined);
    const signal = new AbortController().signal;
    code = await work({ signal, ...context, say, data: say, note: say, during, log: silentLog });
  });
  await program.parseAsync([...words], { from: 'user' });
  return { code, lines };
}
