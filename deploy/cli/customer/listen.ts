import { randomBytes } from 'node:crypto';
import { InvalidArgumentError, Option } from 'commander';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import { type Customer, customerCommand, untilStopped } from './customer-command.ts';
import { eventLine, type FeedStart, followFeed, startQuery } from './follow-feed.ts';
import { formatSeconds, printable } from './format.ts';
import { forwardEvent } from './forward.ts';
import { type ListenState, listenStatePath, readListenState, writeListenState } from './listen-state.ts';
import { isOpenToOthers } from './profiles.ts';

const SECRET_BYTES = 32;

interface ListenOptions extends FeedStart {
  readonly forward: string;
  readonly resource?: string;
  readonly now: boolean;
  readonly newSecret: boolean;
  readonly once: boolean;
}

export const listenCommand = customerCommand<ListenOptions>({
  name: 'listen',
  summary: 'deliver every change to a program on this machine, signed as webhooks are, until Ctrl-C',
  notes: `It pulls the feed and sends each event to the URL, in the order of the feed and one at a time: nothing on this machine
is opened to others, and no tunnel is needed. An event that fails is sent again until it is delivered. The next listen to
the same URL continues where this one ended. The secret is made at the first time, and shown only then.`,
  examples: [
    'tandem listen --forward http://localhost:3000/hook',
    'tandem listen --forward http://localhost:3000/hook --resource invoices --after-export exp_01kb8z',
    'tandem listen --forward http://localhost:3000/hook --now --new-secret',
  ],
  declare: (program) =>
    program
      .requiredOption('--forward <url>', 'where events are sent, such as http://localhost:3000/hook', httpUrl)
      .option('--resource <name>', 'only events of this resource')
      .addOption(
        new Option('--after-export <id>', 'from exactly where the snapshot of this export ends').conflicts([
          'after',
          'now',
        ]),
      )
      .addOption(new Option('--after <place>', 'after this cursor, event or position').conflicts('now'))
      .option('--now', 'from now, not from where the last listen ended', false)
      .option('--new-secret', 'make a new secret, and show it', false)
      .option('--once', 'end when everything is delivered', false),
  async run(customer, options) {
    const { env, client, login, signal, note, say } = customer;
    const { forward, resource } = options;
    const account = await client().account.get({ signal });
    const path = listenStatePath(env, [login().url, account.id, forward, resource ?? '']);
    const kept = readListenState(path);
    const isNew = kept === undefined || options.newSecret;
    const secret = isNew ? `whsec_${randomBytes(SECRET_BYTES).toString('base64')}` : kept.secret;
    const isPlaced = options.now || options.after !== undefined || options.afterExport !== undefined;
    const state =
      kept === undefined || isPlaced
        ? { from: await startQuery(client(), options, signal), secret }
        : { ...kept, secret };
    writeListenState(path, state);
    note(
      kept === undefined || isPlaced
        ? `events go to ${forward}`
        : `events go to ${forward}, from where the last listen ended`,
    );
    if (isOpenToOthers(forward)) note(`${forward} is not https: everybody on the way can read the records`);
    if (isNew) say(customer.isJson ? JSON.stringify({ secret }) : `secret: ${secret}`);
    else note('they are signed with the secret that was shown at the first time; --new-secret makes another');
    await untilStopped(signal, () => forwardFeed(customer, options, path, state));
  },
});

async function forwardFeed(
  customer: Customer,
  { forward: url, resource, once }: ListenOptions,
  path: string,
  started: ListenState,
): Promise<void> {
  const { signal, isJson, data, note } = customer;
  const key = secretToKey(started.secret);
  let state = started;
  for await (const { texts, cursor } of followFeed(customer, { ...started.from, resource }, once)) {
    for (const text of texts.slice(texts.findIndex((each) => idOf(each) === state.done) + 1)) {
      const id = idOf(text);
      const { status, attempts, durationMs } = await forwardEvent(id, text, {
        url,
        key,
        signal,
        onFailure: (reason, waitMs) =>
          note(
            `${id}: ${printable(reason)}; the next attempt is in ${formatSeconds(Math.ceil(waitMs / 1_000))}`,
          ),
      });
      state = { ...state, done: id };
      writeListenState(path, state);
      if (isJson)
        data(`{"event":${text},"status":${status},"attempts":${attempts},"duration_ms":${durationMs}}`);
      else data(`${eventLine(text)}  → ${status} in ${durationMs} ms`);
    }
    const isMoved = texts.length > 0 || state === started;
    state = { secret: state.secret, from: { after: cursor } };
    if (isMoved) writeListenState(path, state);
    if (process.stdout.destroyed) return;
  }
}

function idOf(text: string): string {
  return (JSON.parse(text) as { id: string }).id;
}

function httpUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url.href;
  throw new InvalidArgumentError('It must be a URL such as http://localhost:3000/hook.');
}
