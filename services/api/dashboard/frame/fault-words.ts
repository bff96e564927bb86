import { AppError } from '../../../../shared/runtime/errors.ts';
import { faults as WRITTEN } from '../messages/en/faults.ts';
import type { Messages } from '../messages/messages.ts';

type FaultCode = keyof typeof WRITTEN;

/** A placeholder in a sentence, for a value or for another sentence: `{0}`, `{=0}`. */
const PLACE = /\{(=?)(\d)\}/g;

/** The API's sentence for each error, as a pattern, with the order of its placeholders. */
const PATTERNS = Object.entries(WRITTEN).map(([code, sentence]) => ({
  code: code as FaultCode,
  pattern: new RegExp(`^${sentence.split(PLACE).map(toPattern).join('')}$`, 's'),
  places: [...sentence.matchAll(PLACE)].map(([, , place]) => Number(place)),
  length: sentence.replaceAll(PLACE, '').length,
}));

/** Longer sentences first, because `is not a {0}` would match many others. */
PATTERNS.sort((a, b) => b.length - a.length);

/** After splitting by `PLACE` with its two groups, every third element is text between placeholders. */
function toPattern(part: string, index: number): string {
  if (index % 3 === 0) return part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return index % 3 === 1 ? '' : '(.+?)';
}

/** The code of an error text that the API has written, and the values in it. */
export function codeOfFault(written: string): { code: FaultCode; parts: readonly string[] } | undefined {
  for (const { code, pattern, places } of PATTERNS) {
    const match = pattern.exec(written);
    if (match === null) continue;
    const parts: string[] = [];
    for (const [index, place] of places.entries()) parts[place] = match[index + 1] ?? '';
    return { code, parts };
  }
  return undefined;
}

/** The API's error text in another language. A text without a translation stays as it is. */
export function faultWords(written: string, text: Pick<Messages, 'faults'>): string {
  if (text.faults === WRITTEN) return written;
  const found = codeOfFault(written);
  if (found === undefined) return written;
  const { code, parts } = found;
  return text.faults[code].replace(PLACE, (_, isSentence: string, place: string) => {
    const part = parts[Number(place)] ?? '';
    return isSentence === '' ? part : faultWords(part, text);
  });
}

/** An API error in the page's language. */
export function inLanguage(error: AppError, text: Pick<Messages, 'faults'>): AppError {
  if (text.faults === WRITTEN) return error;
  const errors = error.errors.map(({ pointer, detail }) => ({ pointer, detail: faultWords(detail, text) }));
  const [only, ...others] = errors;
  // The message of an only fault is its place and its detail.
  const isOfField =
    only !== undefined &&
    others.length === 0 &&
    error.message.startsWith(`${only.pointer === '' ? 'The body' : only.pointer}: `);
  const message = isOfField
    ? `${only.pointer === '' ? '' : `${only.pointer}: `}${only.detail}`
    : faultWords(error.message, text);
  const { code, extra, retryAfterSeconds } = error;
  return new AppError(code, message, {
    errors,
    extra,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    cause: error,
  });
}
