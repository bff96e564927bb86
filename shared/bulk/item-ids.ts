import type { ColumnDescription } from '../catalog/describe-table.ts';
import { type ListedItem, showItemId } from '../domain/bulk.ts';
import { ExactNumber, parseExactJson } from '../domain/exact-json.ts';

/** Longer ones are no keys, and would fill the ledger. */
export const MAX_ID_CHARACTERS = 1_000;

/** What is shown of an ID that is refused. */
const SHOWN_CHARACTERS = 200;

const INT_RANGE: ReadonlyMap<number, bigint> = new Map([
  [21, 2n ** 15n],
  [23, 2n ** 31n],
  [20, 2n ** 63n],
]);
const UUID = 2950;
const TEXTS: ReadonlySet<number> = new Set([25, 1043]);
const UUID_FORM = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** An ID as a request or a file has it: a text or number, or a list of them for a key of several columns. */
export type RawId = string | number | readonly (string | number)[];

/** Whether IDs of this key can be checked before they are used. Others can only be chosen by filter. */
export function canBeNamed(key: readonly ColumnDescription[]): boolean {
  return key.every(
    ({ baseTypeOid, equality }) =>
      INT_RANGE.has(baseTypeOid) ||
      baseTypeOid === UUID ||
      // Under a nondeterministic collation two IDs may name one row, and it would be changed twice.
      (TEXTS.has(baseTypeOid) && equality !== 'collation'),
  );
}

/** What is no ID of any key: a failed item, as `readItemId` makes them. */
export function badItem(text: string, message: string, line: number): ListedItem {
  return { id: showable(text), code: 'invalid_id', message, line };
}

/**
 * An ID as the key it names, in the one spelling that PostgreSQL gives it, so that `7` and `007` are the same item.
 * One that no row can have becomes a failed item rather than an error: the others shall go on.
 */
export function readItemId(raw: RawId, key: readonly ColumnDescription[], line?: number): ListedItem {
  const place = line === undefined ? {} : { line };
  const parts = toParts(raw, key.length);
  const shown = showable(typeof raw === 'object' ? JSON.stringify(raw) : String(raw));
  if (parts === undefined) {
    const message = `must be a JSON array of ${key.length} values: ${key.map(({ name }) => name).join(', ')}`;
    return { id: shown, code: 'invalid_id', message, ...place };
  }
  const texts: string[] = [];
  for (const [index, column] of key.entries()) {
    const text = canonicalText(parts[index] ?? '', column);
    if (text === undefined) {
      return { id: shown, code: 'invalid_id', message: `is not of type ${column.typeName}`, ...place };
    }
    texts.push(text);
  }
  return { key: texts, ...place };
}

/** A text of a client's as PostgreSQL can hold it: without NUL, and without half of a character, also where it is cut. */
function showable(text: string): string {
  return text.slice(0, SHOWN_CHARACTERS).toWellFormed().replaceAll('\0', '\uFFFD');
}

/** The items with every repetition marked; the first of equal ones counts. */
export function markDuplicates(items: readonly ListedItem[]): ListedItem[] {
  const seen = new Set<string>();
  return items.map((item) => {
    if (!('key' in item)) return item;
    const id = showItemId(item.key);
    if (!seen.has(id)) {
      seen.add(id);
      return item;
    }
    return duplicateOf(item);
  });
}

export function duplicateOf({ key, line }: { key: readonly string[]; line?: number }): ListedItem {
  return { id: showItemId(key), code: 'duplicate', ...(line === undefined ? {} : { line }) };
}

function toParts(raw: RawId, columnCount: number): string[] | undefined {
  if (columnCount === 1 && typeof raw !== 'object') return [String(raw)];
  const list = typeof raw === 'string' ? parseArray(raw) : raw;
  if (!Array.isArray(list) || list.length !== columnCount) return undefined;
  const isPart = (part: unknown) =>
    typeof part === 'string' || typeof part === 'number' || part instanceof ExactNumber;
  return list.every(isPart) ? list.map(String) : undefined;
}

function parseArray(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch {
    return undefined;
  }
}

function canonicalText(text: string, { baseTypeOid }: ColumnDescription): string | undefined {
  if (text.length > MAX_ID_CHARACTERS || text.includes('\0') || !text.isWellFormed()) return undefined;
  const range = INT_RANGE.get(baseTypeOid);
  if (range !== undefined) {
    if (!/^[+-]?\d{1,30}$/.test(text)) return undefined;
    const value = BigInt(text.replace('+', ''));
    return value >= -range && value < range ? value.toString() : undefined;
  }
  if (baseTypeOid === UUID) return UUID_FORM.test(text) ? text.toLowerCase() : undefined;
  return text === '' ? undefined : text;
}
