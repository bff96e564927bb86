import { ExactNumber, toDouble } from '../../../shared/domain/exact-json.ts';
import { invalid, toPointer } from './validate.ts';

/** Exact numbers go into statements, where a short text such as 1e100000 would become a long number. */
const MAX_NUMBER_CHARACTERS = 1_000;
const MAX_EXPONENT = 1_000;

/**
 * Turns the exact numbers of a body into doubles, however they are spelled, and refuses those that a double
 * would change. Members named in `exact` keep every digit.
 *
 * @throws AppError `invalid` with the first number that does not fit
 */
export function settleNumbers(body: unknown, exact: readonly string[]): unknown {
  if (!isObject(body) || Array.isArray(body)) return settle(body, [], false);
  const members = Object.entries(body).map(([name, value]) => [
    name,
    settle(value, [name], exact.includes(name)),
  ]);
  return Object.fromEntries(members);
}

function settle(value: unknown, path: PropertyKey[], isKept: boolean): unknown {
  const within = (step: PropertyKey, part: unknown) => {
    path.push(step);
    const settled = settle(part, path, isKept);
    path.pop();
    return settled;
  };
  if (value instanceof ExactNumber) return isKept ? bounded(value, path) : double(value, path);
  if (Array.isArray(value)) return value.map((part, index) => within(index, part));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, within(name, part)]));
}

function double(number: ExactNumber, path: readonly PropertyKey[]): number {
  const value = toDouble(number);
  if (value !== undefined) return value;
  throw invalid([
    { pointer: toPointer(path), detail: 'is outside the range of a JSON number: send it as a string' },
  ]);
}

function bounded(number: ExactNumber, path: readonly PropertyKey[]): ExactNumber {
  const exponent = Math.abs(Number(number.digits.toLowerCase().split('e')[1] ?? 0));
  if (number.digits.length <= MAX_NUMBER_CHARACTERS && exponent <= MAX_EXPONENT) return number;
  const detail = `must have at most ${MAX_NUMBER_CHARACTERS} digits and an exponent of at most ${MAX_EXPONENT}`;
  throw invalid([{ pointer: toPointer(path), detail }]);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof ExactNumber);
}
