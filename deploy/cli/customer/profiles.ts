import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Env } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';

/** Where an API is, and the key of an account there. */
export interface Profile {
  readonly url: string;
  readonly key: string;
}

/** A profile with the name that a person knows it by. */
export interface Login extends Profile {
  readonly source: string;
}

export const DEFAULT_PROFILE = 'default';

const profilesSchema = z.strictObject({
  /** The profile of commands that name none. */
  current: z.string(),
  profiles: z.record(z.string(), z.strictObject({ url: z.string(), key: z.string() })),
});

type Profiles = z.infer<typeof profilesSchema>;

/** In the XDG configuration directory. */
export function profilesPath(env: Env): string {
  return join(env.XDG_CONFIG_HOME?.trim() || join(homedir(), '.config'), 'tandem', 'profiles.json');
}

/**
 * The URL and the key of a command: those of the profile that it names, else of the environment, else of the profile of the
 * last login. A key is never sent to a URL that it was not given with. @throws SetupError
 */
export function findLogin(env: Env, named: string | undefined): Login {
  const name = named ?? (env.TANDEM_PROFILE?.trim() || undefined);
  if (name === undefined) {
    const url = env.TANDEM_URL?.trim();
    const key = keyOf(env);
    if (url && key) return { url, key, source: 'TANDEM_URL' };
    if (url || key) {
      throw new SetupError(
        url
          ? 'TANDEM_URL is set, and no key: set TANDEM_API_KEY too'
          : 'a key is set, and no URL: set TANDEM_URL too',
        ['without either, or with --profile, the profile of `tandem login` is used'],
      );
    }
  }
  const { current, profiles } = readProfiles(env);
  const chosen = name ?? current;
  const profile = Object.hasOwn(profiles, chosen) ? profiles[chosen] : undefined;
  if (profile !== undefined) return { ...profile, source: `profile ${chosen}` };
  const known = Object.keys(profiles);
  throw new SetupError(
    known.length === 0
      ? 'you are not logged in'
      : `there is no profile ${chosen}; there is ${known.join(', ')}`,
    ['run `tandem login --url URL`, or set TANDEM_URL and TANDEM_API_KEY'],
  );
}

/** The key of the environment, by either name. */
export function keyOf(env: Env): string | undefined {
  return env.TANDEM_API_KEY?.trim() || env.TANDEM_KEY?.trim() || undefined;
}

/** Keeps a profile, which becomes that of commands that name none. */
export function saveProfile(env: Env, name: string, { url, key }: Profile): void {
  const { profiles } = readProfiles(env);
  writeProfiles(env, { current: name, profiles: { ...profiles, [name]: { url, key } } });
}

/** @returns the name of the forgotten profile; undefined when it was not there */
export function forgetProfile(env: Env, named: string | undefined): string | undefined {
  const { current, profiles } = readProfiles(env);
  const name = named ?? (env.TANDEM_PROFILE?.trim() || current);
  if (!Object.hasOwn(profiles, name)) return undefined;
  const { [name]: _, ...others } = profiles;
  if (Object.keys(others).length === 0) rmSync(profilesPath(env), { force: true });
  else
    writeProfiles(env, {
      current: name === current ? (Object.keys(others)[0] ?? name) : current,
      profiles: others,
    });
  return name;
}

function readProfiles(env: Env): Profiles {
  const path = profilesPath(env);
  try {
    requirePrivate(path);
    return profilesSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return { current: DEFAULT_PROFILE, profiles: {} };
    if (error instanceof SetupError) throw error;
    // Its text has keys, and a parser's error quotes it.
    throw new SetupError(`${path} is not a file of profiles`, ['remove it, and run `tandem login`']);
  }
}

/** @throws SetupError when others than the owner may read the file, or write it */
export function requirePrivate(path: string): void {
  const { mode, uid } = statSync(path);
  const isOthers = process.getuid !== undefined && uid !== process.getuid();
  if (!isOthers && (mode & 0o077) === 0) return;
  const found = isOthers
    ? 'belongs to another user'
    : `can be read by others (mode ${(mode & 0o777).toString(8)})`;
  throw new SetupError(`${path} holds secrets, and ${found}`, [
    isOthers
      ? 'remove it, and log in again'
      : `run \`chmod 600 ${path}\`; if others may have read it, ask for new keys`,
  ]);
}

function writeProfiles(env: Env, profiles: Profiles): void {
  writePrivate(profilesPath(env), `${JSON.stringify(profiles, null, 2)}\n`);
}

/** Writes a file that only its owner can read, whole or not at all. */
export function writePrivate(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
  renameSync(temporary, path);
}

/** Whether others on the way can read what is sent to the URL. Loopback stays on this machine. */
export function isOpenToOthers(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
}
