import { createHash, randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Child } from './child-group.ts';

/** What a Java program reads its classes from, ready parsed, or makes that archive at its end. */
export interface ClassArchive {
  /** For the Java program, ahead of everything else. */
  readonly args: readonly string[];
  /** What its stop may take, when that is longer than usual: the archive is written in it. */
  readonly stopGraceMs?: number;
  /** Keeps the archive that the program makes when it stops in order. */
  keepOf(child: Child): void;
}

/** On a machine with much other work. Otherwise it takes some seconds. */
const MAKING_GRACE_MS = 90_000;

/** An archive that is being made by a program which was killed is left behind; by then it has ended. */
const ABANDONED_AFTER_MS = 24 * 60 * 60_000;

/**
 * Class-data sharing of one program of this machine's Java: what it has loaded by its first orderly stop is mapped at every
 * later start. The archive is named by the Java and the program that it is of, and Java passes over one that does not fit,
 * so an archive that is missing or stale costs nothing but time.
 *
 * @param directory where the archives are kept; where nothing can be written, none is made
 * @param mayMake false: uses an archive that is there, and does not make one, because that takes some seconds at the stop
 */
export function openClassArchive(
  directory: string,
  name: string,
  java: string,
  mayMake: boolean,
): ClassArchive {
  const path = join(directory, `${name}-${digestOf(java)}.jsa`);
  // Java says so on its standard output otherwise, which is the program's log.
  const quiet = ['-Xshare:auto', '-Xlog:cds=off', '-Xlog:cds+dynamic=off'];
  if (existsSync(path)) return { args: [...quiet, `-XX:SharedArchiveFile=${path}`], keepOf: () => undefined };
  if (!mayMake || !isWritable(directory)) return { args: [], keepOf: () => undefined };
  removeAbandoned(directory);
  const incomplete = `${path}.${randomUUID().slice(0, 8)}.incomplete`;
  return {
    args: [...quiet, `-XX:ArchiveClassesAtExit=${incomplete}`],
    stopGraceMs: MAKING_GRACE_MS,
    keepOf(child) {
      child.exited.then(({ signal }) => {
        // One that is killed may have been writing.
        if (signal === null && existsSync(incomplete)) renameSync(incomplete, path);
        else rmSync(incomplete, { force: true });
      });
    },
  };
}

/** Another Java, also one that replaced this one in its place, has archives of its own. */
function digestOf(java: string): string {
  const program = realpathSync(java);
  const release = statSync(join(dirname(dirname(program)), 'release'), { throwIfNoEntry: false });
  const text = [program, release?.mtimeMs, statSync(program).mtimeMs, statSync(program).size].join('\n');
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function removeAbandoned(directory: string): void {
  for (const entry of readdirSync(directory).filter((each) => each.endsWith('.incomplete'))) {
    const path = join(directory, entry);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
    if (mtimeMs !== undefined && Date.now() - mtimeMs > ABANDONED_AFTER_MS) rmSync(path, { force: true });
  }
}

export function pickGrace({ stopGraceMs }: ClassArchive): Pick<ClassArchive, 'stopGraceMs'> {
  return stopGraceMs === undefined ? {} : { stopGraceMs };
}
