import { type Html, html } from '../../pages/html.ts';

/** Limit of a shown document. Larger ones can be downloaded. */
const MAX_CHARACTERS = 20_000;

/**
 * A string, with the colon after a property name; a number; a keyword. A string that was cut ends with the document.
 */
const TOKEN = /"(?:[^"\\]|\\.)*(?:"(\s*:)?|$)|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;

/** JSON with CSS classes for its tokens; numbers keep their digits. `isCut`: only the start is shown. */
export function jsonHtml(value: unknown): { readonly code: Html; readonly isCut: boolean } {
  const whole = JSON.stringify(value, null, 2);
  const isCut = whole.length > MAX_CHARACTERS;
  const text = isCut ? `${whole.slice(0, MAX_CHARACTERS).toWellFormed()}…` : whole;
  const parts: Html[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, colon = ''] = match;
    const kind = colon !== '' ? 'c-name' : token.startsWith('"') ? 'c-text' : 'c-value';
    const shown = token.slice(0, token.length - colon.length);
    parts.push(html`${text.slice(end, match.index)}<i class="${kind}">${shown}</i>${colon}`);
    end = match.index + token.length;
  }
  parts.push(html`${text.slice(end)}`);
  return { code: html`<code>${parts}</code>`, isCut };
}
