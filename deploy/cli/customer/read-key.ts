import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { SetupError } from '../../../shared/runtime/errors.ts';

/** A key is some dozens of characters; what is longer is another file. */
const MAX_CHARACTERS = 10_000;

/** What a secret is read from. */
export interface SecretInput {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WritableStream;
  readonly signal: AbortSignal;
}

/** A secret of a person: asked for without echo on a terminal, else all of standard input. @throws SetupError when it is empty */
export async function readSecret(question: string, from: SecretInput): Promise<string> {
  const text = from.input.isTTY ? await ask(question, from) : await readAll(from.input);
  const secret = text.trim();
  if (secret === '') throw new SetupError(`there is no ${question}`);
  return secret;
}

async function readAll(input: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    if (text.length > MAX_CHARACTERS) throw new SetupError('standard input is too long for a secret');
  }
  return text;
}

async function ask(question: string, { input, output, signal }: SecretInput): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  using cleanup = new DisposableStack();
  const terminal = createInterface({ input, output: silent, terminal: true });
  cleanup.defer(() => {
    terminal.close();
    output.write('\n');
  });
  output.write(`${question} (not shown): `);
  // The terminal is in raw mode, where Ctrl-C is a character.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    return await Promise.race([terminal.question('', { signal }), ended]);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
