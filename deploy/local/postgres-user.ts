import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** PostgreSQL refuses to run as root, so root runs it as this user. */
export interface PostgresUser {
  readonly uid: number;
  readonly gid: number;
}

/** Where data and programs go when the user of `postgres` can't reach the usual place, as below `/root`. */
const REACHABLE_BASE = '/var/lib/tandem';

/** In a home: the path of its data directory, when that is not inside. */
const HOME_NOTE = 'postgres-directory';

/** Beside such a data directory: the path of its home. */
const OWNER_SUFFIX = '.home';

/** The `postgres` line of an `/etc/passwd`, or `nobody`'s, which every system has: no user is created for us. */
export function pickPostgresUser(passwd: string): PostgresUser {
  const users = new Map(passwd.split('\n').map((line) => [line.split(':')[0], line.split(':')]));
  const found = users.get('postgres') ?? users.get('nobody');
  return { uid: Number(found?.[2] ?? 65_534), gid: Number(found?.[3] ?? 65_534) };
}

/** Who PostgreSQL has to run as, or undefined when this process's own user will do. */
export function postgresUser(): PostgresUser | undefined {
  return process.getuid?.() === 0 ? pickPostgresUser(readFileSync('/etc/passwd', 'utf8')) : undefined;
}

/**
 * The data directory for this home: inside it, or, when the other user can't get there, one below
 * `/var/lib/tandem` that the home remembers by name, so that a deleted home never meets old data.
 */
export function reachableDataDirectory(home: string, user: PostgresUser | undefined): string {
  const usual = join(home, 'postgres');
  if (user === undefined) return usual;
  removeDataOfDeletedHomes(REACHABLE_BASE);
  const note = join(home, HOME_NOTE);
  if (existsSync(note)) return readFileSync(note, 'utf8').trim();
  if (canReach(home, user)) return usual;
  const elsewhere = join(REACHABLE_BASE, randomUUID());
  mkdirSync(REACHABLE_BASE, { recursive: true, mode: 0o755 });
  // The home's note is first: data that names a home without a note is taken for a deleted home's.
  writeFileSync(note, `${elsewhere}\n`);
  writeFileSync(`${elsewhere}${OWNER_SUFFIX}`, `${home}\n`);
  return elsewhere;
}

/** Removes every data directory whose home does not remember it any more. */
export function removeDataOfDeletedHomes(base: string): void {
  if (!existsSync(base)) return;
  for (const name of readdirSync(base).filter((entry) => entry.endsWith(OWNER_SUFFIX))) {
    const owner = join(base, name);
    const data = owner.slice(0, -OWNER_SUFFIX.length);
    const note = join(readFileSync(owner, 'utf8').trim(), HOME_NOTE);
    if (existsSync(note) && readFileSync(note, 'utf8').trim() === data) continue;
    rmSync(data, { recursive: true, force: true });
    rmSync(owner, { force: true });
  }
}

/** The programs' directory, copied to where the other user can run them when it can't from here. */
export function reachablePrograms(native: string, version: string, user: PostgresUser | undefined): string {
  if (user === undefined || canReach(join(native, 'bin'), user)) return native;
  const copy = join(REACHABLE_BASE, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  const temporary = `${copy}.${randomUUID()}`;
  mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
  cpSync(native, temporary, { recursive: true, verbatimSymlinks: true });
  renameSync(temporary, copy);
  return copy;
}

/** Creates a directory that belongs to the user. */
export function makeOwnedDirectory(path: string, user: PostgresUser | undefined): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}

function canReach(directory: string, user: PostgresUser): boolean {
  const args = ['-c', 'cd "$1" && test -x .', 'sh', directory];
  return spawnSync('/bin/sh', args, { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}
