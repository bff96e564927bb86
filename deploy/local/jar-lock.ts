import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { SetupError } from '../../shared/runtime/errors.ts';

/** One file of a Maven repository, and what it must be. */
export interface LockedFile {
  /** `group:artifact:version`, with `:classifier` and `@type` where it has them. */
  readonly artifact: string;
  /** Hexadecimal. */
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
  /** Where a Maven repository has it, from the repository's root. */
  readonly path: string;
  readonly fileName: string;
}

const JAR_LOCK = new URL('./jars.lock.json', import.meta.url);

/** No artifact of ours comes near it; a list that says more is damaged. */
const MAX_FILE_BYTES = 1_000_000_000;

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]*';
const ARTIFACT = new RegExp(`^(${NAME}):(${NAME}):(${NAME})(?::(${NAME}))?(?:@(${NAME}))?$`);

const lockSchema = z.strictObject({
  files: z
    .array(
      z.strictObject({
        artifact: z.string().regex(ARTIFACT, 'is not group:artifact:version[:classifier][@type]'),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hexadecimal'),
        size: z.int().min(1).max(MAX_FILE_BYTES),
      }),
    )
    .min(1),
});

/** Where Maven keeps an artifact. @throws RangeError when it is none */
export function toRepositoryPath(artifact: string): { path: string; fileName: string } {
  const match = ARTIFACT.exec(artifact);
  if (match === null) throw new RangeError(`"${artifact}" is not group:artifact:version[:classifier][@type]`);
  const [, group = '', name = '', version = '', classifier, type = 'jar'] = match;
  const fileName = `${name}-${version}${classifier === undefined ? '' : `-${classifier}`}.${type}`;
  return { path: `${group.replaceAll('.', '/')}/${name}/${version}/${fileName}`, fileName };
}

/** @throws SetupError naming what is wrong with the list */
export function parseJarLock(text: string): readonly LockedFile[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw unusable([(cause as Error).message]);
  }
  const parsed = lockSchema.safeParse(json);
  if (!parsed.success) {
    throw unusable(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`));
  }
  const files = parsed.data.files.map((file) => ({ ...file, ...toRepositoryPath(file.artifact) }));
  const names = files.map(({ fileName }) => fileName);
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  if (twice.length > 0) throw unusable(twice.map((name) => `two files are called ${name}`));
  return files;
}

/** What the local stack runs on the Java VM, as checked in. */
export function readJarLock(): { readonly text: string; readonly files: readonly LockedFile[] } {
  const text = readFileSync(JAR_LOCK, 'utf8');
  return { text, files: parseJarLock(text) };
}

function unusable(findings: readonly string[]): SetupError {
  return new SetupError(
    'the list of jars is not usable; "npm run lock:jars" writes it from pom.xml',
    findings,
  );
}
