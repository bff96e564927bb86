import { type EnvReader, Secret } from './env.ts';

/** The key that seals and signs from now on, and those before it, which still open and verify. */
export interface SecretKeys {
  readonly current: Secret;
  readonly previous: readonly Secret[];
}

const LEAST_CHARACTERS = 32;

/** Each is tried in turn, and none should be needed for long. */
const MAX_PREVIOUS = 4;

/** Reads `SECRET_KEY`, and `SECRET_KEY_PREVIOUS`, a list, while one key takes over from another. */
export function readSecretKeys(read: EnvReader): SecretKeys {
  const current = read.secret('SECRET_KEY');
  const previous = read.list('SECRET_KEY_PREVIOUS', []).map((key) => new Secret(key));
  const advice = `must have at least ${LEAST_CHARACTERS} characters; make one with: openssl rand -hex 32`;
  if (isTooShort(current, LEAST_CHARACTERS)) read.refuse(`SECRET_KEY ${advice}`);
  if (previous.some((key) => isTooShort(key, LEAST_CHARACTERS))) {
    read.refuse(`SECRET_KEY_PREVIOUS: each key in it ${advice}`);
  }
  if (previous.length > MAX_PREVIOUS)
    read.refuse(`SECRET_KEY_PREVIOUS may list at most ${MAX_PREVIOUS} keys`);
  return { current, previous };
}

/** Of one that is set; an empty one is reported as missing. */
export function isTooShort(key: Secret, leastCharacters: number): boolean {
  const { length } = key.reveal();
  return length > 0 && length < leastCharacters;
}
