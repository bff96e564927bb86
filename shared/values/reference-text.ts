import { createHash } from 'node:crypto';
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
