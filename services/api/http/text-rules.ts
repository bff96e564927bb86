import type { IncomingHttpHeaders } from 'node:http';
import { AppError, type FieldError } from '../../../shared/runtime/errors.ts';
import { invalid, MAX_ERRORS_SHOWN, toPointer } from './validate.ts';

/**
 * The rule for all incoming text: why PostgreSQL cannot store or compare it, or why it is not valid in UTF-8.
 * Undefined for a valid text.
 */
export function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'must not contain a NUL character';
  return text.isWellFormed() ? undefined : 'must not contain half of a surrogate pair';
}

/** The only spellings of NUL and of surrogates in JSON that was sent as UTF-8. */
const SUSPICIOUS = /\\u(?:0000|d[89a-f])/i;

/**
 * Refuses a JSON body with an invalid text, names of members included.
 *
 * @param text the body as it was sent: without a suspicious escape, its values are not checked
 * @throws AppError `invalid` with a pointer to each, up to the number that is shown
 */
export function requireGoodTexts(text: string, body: unknown): void {
  if (!SUSPICIOUS.test(text)) return;
  const errors: FieldError[] = [];
  const path: PropertyKey[] = [];
  const check = (value: unknown): void => {
    if (errors.length > MAX_ERRORS_SHOWN) return;
    if (typeof value === 'string') checkText(value);
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      path.push(name);
      checkText(name);
      check(member);
      path.pop();
    }
  };
  const checkText = (part: string) => {
    const detail = textFault(part);
    if (detail !== undefined) errors.push({ pointer: toPointer(path).toWellFormed(), detail });
  };
  check(body);
  if (errors.length > 0) throw invalid(errors);
}

const UTF8: ReadonlySet<string> = new Set(['utf-8', '"utf-8"', 'utf8', 'us-ascii']);

/**
 * Refuses a body whose headers declare another encoding or a compression.
 *
 * @throws AppError `unsupported_media_type`
 */
export function requireUtf8(headers: IncomingHttpHeaders): void {
  const [, ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  if (charset !== undefined && !UTF8.has(charset.slice('charset='.length))) {
    throw new AppError('unsupported_media_type', 'Send the body in UTF-8.');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a Content-Encoding.');
  }
  // Node undoes the last transfer coding, which is chunked, and leaves the others to us.
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && transfer.trim().toLowerCase() !== 'chunked') {
    throw new AppError('unsupported_media_type', 'Send the body in no Transfer-Encoding but chunked.');
  }
}
