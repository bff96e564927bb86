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
  { parent }: ParentAccount,
  pgTexts: readonly (string | null)[],
  pgNames: readonly string[],
): RecordRef | undefined {
  const key = referenceText(pgTexts, pgNames);
  return key === null ? undefined : { resource: parent.name, key };
}
