import { createHash } from 'node:crypto';
import type { ParentAccount } from '../domain/catalog.ts';
import type { RecordRef } from '../domain/record-ref.ts';
import { accountForm, accountText } from './account-form.ts';

/** Longer keys are kept by their hash: the routes are found by an index. */
const MAX_KEY_CHARACTERS = 400;

/** A key, or a reference to one: the same text exactly if PostgreSQL takes the values as equal. Null for a reference to nothing. */
export function referenceText(
  pgTexts: readonly (string | null)[],
  pgNames: readonly string[],
): string | null {
  if (pgTexts.includes(null)) return null;
  const text = JSON.stringify(
    pgTexts.map((value, at) => accountText(accountForm(pgNames[at] ?? ''), value ?? '')),
  );
  return text.length <= MAX_KEY_CHARACTERS
    ? text
    : `#${createHash('sha256').update(text).digest('base64url')}`;
}

/**
 * The record that a row has its account from; undefined for a row that refers to none.
 *
 * @param pgTexts the row's owner columns, in the order of `ownerColumns`
 * @param pgNames of their types
 */
export function referenceOf(
  { typeColumn, parents }: ParentAccount,
  pgTexts: readonly (string | null)[],
  pgNames: readonly string[],
): RecordRef | undefined {
  const isTyped = typeColumn !== undefined;
  const type = isTyped ? typeText(pgTexts[0] ?? null, pgNames[0] ?? '') : undefined;
  const parent = parents.find((each) => each.type === type);
  const key = isTyped ? referenceText(pgTexts.slice(1), pgNames.slice(1)) : referenceText(pgTexts, pgNames);
  return parent === undefined || key === null ? undefined : { resource: parent.resource.name, key };
}

/** As a cast to text gives it, which cuts the blanks at the end of a char. */
function typeText(pgText: string | null, pgName: string): string | null {
  return pgText !== null && accountForm(pgName) === 'without_padding' ? pgText.replace(/ +$/, '') : pgText;
}
