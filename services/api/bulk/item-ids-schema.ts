import { z } from 'zod';
import type { RawId } from '../../../shared/bulk/item-ids.ts';
import { ExactNumber, wholeDigits } from '../../../shared/domain/exact-json.ts';
import { MAX_ERRORS_SHOWN } from '../http/validate.ts';

/** A request with more IDs needs a file. */
export const MAX_BODY_IDS = 10_000;

/** Limits of a text ID's length, and of a key's columns. */
const MAX_ID_CHARACTERS = 1_000;
const MAX_KEY_PARTS = 32;

const ONE_ID = { anyOf: [{ type: 'string', maxLength: MAX_ID_CHARACTERS }, { type: 'integer' }] };

const NO_ID = 'must be an ID: a string, an integer, or a list of them for a key of several columns';

/**
 * The `ids` of a bulk request. Whole numbers become the text of their digits. Checked by hand: a schema per
 * element takes a second for ten thousand wrong IDs, and makes as many errors.
 */
export const itemIdsSchema = z
  .custom<RawId[]>((value) => Array.isArray(value), 'must be a list of IDs')
  .transform((list, context) => {
    const refuse = (message: string, path: PropertyKey[] = []) =>
      context.issues.push({ code: 'custom', input: undefined, path, message });
    if (list.length === 0) refuse('must have at least one ID');
    if (list.length > MAX_BODY_IDS) {
      refuse(`may hold at most ${MAX_BODY_IDS} IDs: upload them to POST /bulk/files and send the file_id`);
      return z.NEVER;
    }
    const ids: RawId[] = [];
    let wrong = 0;
    for (const [index, raw] of list.entries()) {
      const id = Array.isArray(raw) ? keyOf(raw) : partOf(raw);
      if (id !== undefined) ids.push(id);
      else {
        wrong += 1;
        if (wrong <= MAX_ERRORS_SHOWN) refuse(NO_ID, [index]);
      }
    }
    return ids;
  })
  .meta({
    type: 'array',
    minItems: 1,
    maxItems: MAX_BODY_IDS,
    items: {
      anyOf: [...ONE_ID.anyOf, { type: 'array', minItems: 1, maxItems: MAX_KEY_PARTS, items: ONE_ID }],
    },
  });

function keyOf(raw: readonly unknown[]): string[] | undefined {
  if (raw.length === 0 || raw.length > MAX_KEY_PARTS) return undefined;
  const parts = raw.flatMap((part) => partOf(part) ?? []);
  return parts.length === raw.length ? parts : undefined;
}

function partOf(raw: unknown): string | undefined {
  if (typeof raw === 'string') return raw.length <= MAX_ID_CHARACTERS ? raw : undefined;
  // A number that JSON.parse read as a double has that double's digits. All others are an `ExactNumber`.
  const number = typeof raw === 'number' ? new ExactNumber(String(raw)) : raw;
  if (!(number instanceof ExactNumber)) return undefined;
  const digits = wholeDigits(number);
  return /^-?\d{1,30}$/.test(digits) ? digits : undefined;
}
