import { readFileSync } from 'node:fs';
import {
  type Delivery,
  SignatureError,
  verifyWebhook,
} from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { hideFromOutput } from '../../../shared/runtime/redact.ts';
import { wholeNumber } from '../command.ts';
import { customerCommand } from './customer-command.ts';
import { printable } from './format.ts';
import { readSecret } from './read-key.ts';

const STANDARD_INPUT = 0;
const A_CENTURY_SECONDS = 3_155_760_000;

interface VerifyOptions {
  readonly headers: string;
  readonly body: string;
  readonly secretFile?: string;
  readonly tolerance: number;
}

export const verifySignatureCommand = customerCommand<VerifyOptions>({
  name: 'verify-signature',
  summary: 'verify the signature of a webhook request, and say what is wrong with it',
  notes: `The body must be the bytes that arrived, before any parsing. The secret comes from --secret-file or
TANDEM_WEBHOOK_SECRET, or is asked for; several, one a line, are all accepted. Exits 1 when the request must not be trusted.`,
  examples: [
    'tandem verify-signature --headers headers.txt --body body.json',
    'tandem verify-signature --headers headers.txt --body - --tolerance 86400 < body.json',
  ],
  declare: (program) =>
    program
      .requiredOption('--headers <file>', 'its headers: lines of name: value, or a JSON object')
      .requiredOption('--body <file>', 'its body; - for standard input')
      .option('--secret-file <file>', 'the secret of the endpoint')
      .option(
        '--tolerance <seconds>',
        'how old the timestamp may be; more for a request that was kept',
        wholeNumber(1, A_CENTURY_SECONDS),
        300,
      ),
  async run({ env, signal, print, note, isJson }, { headers, body, secretFile, tolerance }) {
    const secrets = await readSecrets(secretFile, env.TANDEM_WEBHOOK_SECRET, body === '-', signal);
    try {
      const delivery = await verifyWebhook(
        readHeaders(readFileSync(headers, 'utf8')),
        readFileSync(body === '-' ? STANDARD_INPUT : body),
        secrets,
        { toleranceSeconds: tolerance },
      );
      print({ valid: true, id: delivery.id, events: delivery.events.length }, describeDelivery(delivery));
      return 0;
    } catch (error) {
      if (error instanceof RangeError) throw new SetupError(error.message);
      if (!(error instanceof SignatureError)) throw error;
      const { reason, message } = error;
      if (isJson) print({ valid: false, reason, detail: message }, []);
      else note(`tandem verify-signature: ${message} (${reason})${ADVICE[reason] ?? ''}`);
      return 1;
    }
  },
});

const ADVICE: Readonly<Partial<Record<SignatureError['reason'], string>>> = {
  wrong_signature: `
  - is it the secret of this endpoint, and the one of now? \`tandem webhooks rotate-secret\` shows a new one
  - is the body the bytes that arrived? A framework that parses and prints JSON again changes them`,
  old_timestamp: '\n  - a request that was kept is verified with --tolerance 86400',
};

function describeDelivery({ id, isBatch, events }: Delivery): string[] {
  const what = isBatch ? `a batch of ${events.length} events` : printable(events[0]?.type ?? 'an event');
  return [`the signature fits: ${printable(id)}, ${what}`];
}

async function readSecrets(
  file: string | undefined,
  fromEnv: string | undefined,
  isInputTaken: boolean,
  signal: AbortSignal,
): Promise<string[]> {
  if (file === undefined && !fromEnv?.trim() && isInputTaken)
    throw new SetupError('standard input is the body, and there is no secret', ['add --secret-file']);
  const text =
    file !== undefined
      ? readFileSync(file, 'utf8')
      : fromEnv?.trim() ||
        (await readSecret('secret', { input: process.stdin, output: process.stderr, signal }));
  const secrets = text.split(/\s+/).filter((each) => each !== '');
  for (const secret of secrets) hideFromOutput(secret);
  if (secrets.length === 0) throw new SetupError(`${file} has no secret`);
  return secrets;
}

/** Lines of `name: value`, also after the request line of a dump, or a JSON object. */
export function readHeaders(text: string): Record<string, string> {
  if (text.trimStart().startsWith('{')) {
    try {
      const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
      return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), String(value)]));
    } catch {
      throw new SetupError('the headers are neither lines of name: value nor a JSON object');
    }
  }
  const pairs = text.split(/\r?\n/).flatMap((line) => {
    const [, name, value] = /^[<>\s]*([\w-]+):\s*(.*?)\s*$/.exec(line) ?? [];
    return name === undefined ? [] : [[name.toLowerCase(), value ?? ''] as const];
  });
  return Object.fromEntries(pairs);
}
