import type { FieldError } from '../../../shared/runtime/errors.ts';
import { textFault } from './text-rule.ts';
import { invalid, MAX_ERRORS_TOLD, toPointer } from './validate.ts';

/** The only spellings of NUL and of surrogates in JSON that was sent as UTF-8. */
const SUSPICIOUS = /\\u(?:0000|d[89a-f])/i;

/**
 * Refuses a JSON body with a text that the text rule refuses, names of members included.
 *
 * @param text the body as it came: where it has no suspicious escape, its values need not be looked at
 * @throws AppError `invalid` with a pointer to each, up to as many as are told
 */
export function requireGoodTexts(text: string, body: unknown): void {
  if (!SUSPICIOUS.test(text)) return;
  const errors: FieldError[] = [];
  const path: PropertyKey[] = [];
  const look = (value: unknown): void => {
    if (errors.length > MAX_ERRORS_TOLD) return;
    if (typeof value === 'string') note(value);
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      path.push(name);
      note(name);
      look(member);
      path.pop();
    }
  };
  const note = (part: string) => {
    const detail = textFault(part);
    if (detail !== undefined) errors.push({ pointer: toPointer(path).toWellFormed(), detail });
  };
  look(body);
  if (errors.length > 0) throw invalid(errors);
}
