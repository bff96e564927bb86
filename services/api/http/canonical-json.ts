import { ExactNumber } from '../../../shared/domain/exact-json.ts';

/** JSON text in which neither the order of keys nor white space matters. The door has bounded the depth. */
export function canonicalJson(value: unknown): string {
  // Most of a large body is one list of texts or numbers, which has one spelling already.
  if (Array.isArray(value))
    return value.every(isPlain) ? JSON.stringify(value) : `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber) {
    return JSON.stringify(value) ?? 'null';
  }
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number';
}
