import type { AccountOverview } from '../../../schemas/clients/typescript/src/generated.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { customerCommand } from './customer-command.ts';
import { formatCount, formatFacts, printable } from './format.ts';
import {
  DEFAULT_PROFILE,
  forgetProfile,
  isOpenToOthers,
  keyOf,
  profilesPath,
  saveProfile,
} from './profiles.ts';
import { readSecret } from './read-key.ts';

/** A mistyped URL is noticed at once. */
const LOGIN_RETRIES = 1;

export const loginCommand = customerCommand<{ url?: string }>({
  name: 'login',
  summary: 'keep the URL and a key of your account for the other commands',
  notes: `The key is asked for without echo, or comes from standard input or TANDEM_API_KEY, never from the command line,
which others can see. It is kept in a file that only you can read. A login is the profile of later commands until the next.`,
  examples: [
    'tandem login --url https://tandem.example.com',
    'tandem login --url https://tandem.example.com --profile test < key-file',
  ],
  declare: (program) => program.option('--url <url>', 'where the API is (or TANDEM_URL)'),
  async run({ env, signal, print, note, connect }, { url: given, profile = DEFAULT_PROFILE }) {
    const url = (given ?? env.TANDEM_URL?.trim() ?? '').replace(/\/+$/, '');
    if (url === '') throw new SetupError('where the API is, is not given', ['add --url https://…']);
    if (isOpenToOthers(url)) note(`${url} is not https: everybody on the way can read the key`);
    const key =
      keyOf(env) ?? (await readSecret('key', { input: process.stdin, output: process.stderr, signal }));
    const account = await connect({ url, key }, LOGIN_RETRIES).account.get({ signal });
    saveProfile(env, profile, { url, key });
    print({ profile, url, account_id: account.id, name: account.name }, [
      `logged in to ${url} as ${printable(account.name)} (${account.id}), profile ${profile}`,
    ]);
    note(`the key is kept in ${profilesPath(env)}`);
  },
});

export const logoutCommand = customerCommand<unknown>({
  name: 'logout',
  summary: 'forget the key of a profile on this machine',
  notes: 'The key stays valid: the operator revokes it.',
  examples: ['tandem logout', 'tandem logout --profile test'],
  async run({ env, print }, { profile }) {
    const forgotten = forgetProfile(env, profile);
    if (forgotten === undefined) throw new SetupError('there is no such login');
    print({ profile: forgotten }, [
      `the key of profile ${forgotten} is forgotten on this machine; it stays valid`,
    ]);
  },
});

export const whoamiCommand = customerCommand<unknown>({
  name: 'whoami',
  summary: 'show the account, its limits and its jobs',
  examples: ['tandem whoami', 'tandem whoami --json'],
  async run({ login, client, signal, print }) {
    const { url, source } = login();
    const account = await client().account.get({ signal });
    print(account, accountLines(account, url, source));
  },
});

function accountLines(account: AccountOverview, url: string, source: string): string[] {
  const { key, bulk_quota: quota, exports, bulk_operations: bulk, feed, limits } = account;
  const jobs = (each: { running: number; queued: number } | null) =>
    each === null ? undefined : `${each.running} running, ${each.queued} queued`;
  return formatFacts({
    account: `${printable(account.name)} (${account.id})`,
    API: `${url} (${source})`,
    key: key === null ? 'the operator’s' : `${printable(key.name ?? key.id)}: ${key.scopes.join(', ')}`,
    exports: jobs(exports),
    'bulk jobs': jobs(bulk),
    'bulk items':
      quota === null
        ? undefined
        : `${formatCount(quota.used)} of ${quota.limit === null ? 'any number' : formatCount(quota.limit)} until ${quota.resets_at}`,
    requests:
      limits.requests_per_minute === null
        ? 'unlimited'
        : `${formatCount(limits.requests_per_minute)} per minute`,
    events: `kept for ${limits.event_retention_days} days`,
    feed:
      feed === null
        ? undefined
        : feed.stalled === null
          ? 'delivers changes'
          : `stalled since ${feed.stalled.since}: ${feed.stalled.reason}`,
  });
}
