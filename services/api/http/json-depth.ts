import { endOfString } from '../../../shared/domain/json-strings.ts';
import { AppError } from '../../../shared/runtime/errors.ts';

/** Far more than any body means, and few enough for whatever walks a body by recursion. */
export const MAX_JSON_DEPTH = 64;

/**
 * Looks at a text that may be JSON before it is parsed: one pass, and no recursion that the text could make deep. Whether it
 * is JSON at all is the parser's to say.
 *
 * @throws AppError `malformed`
 */
export function requireShallow(text: string): void {
  let depth = 0;
  for (let index = 0; index < text.length; ) {
    const character = text[index];
    index = character === '"' ? endOfString(text, index) : index + 1;
    if (character === ']' || character === '}') depth -= 1;
    if (character !== '[' && character !== '{') continue;
    depth += 1;
    if (depth > MAX_JSON_DEPTH) {
      throw new AppError('malformed', `The JSON may be nested at most ${MAX_JSON_DEPTH} deep.`);
    }
  }
}
