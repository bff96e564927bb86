import { type Html, html } from '../../pages/html.ts';

/** Characters of a document that a page shows: whoever wants all of a larger one downloads it. */
const MAX_CHARACTERS = 20_000;

/** A text with the colon behind it, if it is a name; a number; a word. A text that was cut ends with the document. */
const TOKEN = /"(?:[^"\\]|\\.)*(?:"(\s*:)?|$)|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;

/** JSON with its parts marked by classes, digits as they are. `isCut`: only the beginning is shown. */
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
