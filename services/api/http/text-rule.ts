/** Why a text can't be kept or compared by PostgreSQL, or be written as UTF-8; undefined for one that can. The one rule for all text that comes in. */
export function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'must not contain a NUL character';
  return text.isWellFormed() ? undefined : 'must not contain half of a surrogate pair';
}
