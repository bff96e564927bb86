/** Markup that may be sent as it is. Only `html` and `trusted` make it. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

/** What a template may hold. Texts and numbers are escaped; null, undefined and false are left out. */
export type Content = Html | string | number | null | undefined | false | readonly Content[];

/** The attributes whose value a browser follows. */
const URL_ATTRIBUTE = /[\s](?:href|src|action|formaction|poster|cite|data)="$/i;

/** Relative references, and schemes that run nothing. */
const SAFE_URL = /^(?:(?:https?|mailto):|[^:]*$|[/?#.])/i;

const BLOCKED_URL = 'about:invalid';

/**
 * A template that escapes by construction. A text stands between tags or in a quoted attribute, and nowhere
 * else: in a tag, an unquoted attribute, a script or a style no escaping would hold. In a tag stands `flag`.
 * In an attribute that a browser follows, a URL with a scheme that could run code becomes `about:invalid`.
 *
 * @throws RangeError for a value in another place
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  const places = placesOf(strings);
  let text = strings[0] ?? '';
  for (const [index, value] of values.entries()) {
    text += contentOf(value, places[index] ?? 'text') + (strings[index + 1] ?? '');
  }
  return new Html(text);
}

/** Markup from a source of our own, such as a guide of this folder. Never for a text that somebody sent. */
export function trusted(markup: string): Html {
  return new Html(markup);
}

/** An attribute without a value, such as `checked`, where it applies: `<input${flag('checked', isOn)}>`. */
export function flag(name: string, applies: boolean): Html | null {
  return applies ? new Html(` ${name}`) : null;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

type Place = 'text' | 'attribute' | 'url' | 'tag';

/** Templates are constants, so each is checked once. */
const KNOWN = new WeakMap<TemplateStringsArray, readonly Place[]>();

function placesOf(strings: TemplateStringsArray): readonly Place[] {
  const known = KNOWN.get(strings);
  if (known !== undefined) return known;
  let before = '';
  const places = strings.slice(0, -1).map((part) => {
    before += part;
    const place = placeAfter(before);
    // Stands for the value, so that a second one in the same attribute is recognized too.
    before += place === 'tag' ? ' ' : 'x';
    return place;
  });
  KNOWN.set(strings, places);
  return places;
}

function placeAfter(markup: string): Place {
  if (/<(script|style)\b[^>]*>(?:(?!<\/\1)[\s\S])*$/i.test(markup)) {
    throw new RangeError(`a script or a style takes no value: ${markup.slice(-60)}`);
  }
  if (/<\/?$/.test(markup)) throw new RangeError(`the name of a tag takes no value: ${markup.slice(-60)}`);
  const tag = openTagOf(markup);
  if (tag === undefined) return 'text';
  if ((tag.match(/"/g)?.length ?? 0) % 2 === 0) {
    if (/[^=\s]"$|[^=\s]\s+$|=""$/.test(tag) || /^<\w+$/.test(tag)) return 'tag';
    throw new RangeError(`a value in a tag must be in double quotes: ${tag.slice(-60)}`);
  }
  return URL_ATTRIBUTE.test(tag) ? 'url' : 'attribute';
}

/** The tag that the markup ends in; undefined between tags. */
function openTagOf(markup: string): string | undefined {
  let open: number | undefined;
  let isQuoted = false;
  for (let index = 0; index < markup.length; index += 1) {
    const character = markup[index];
    if (open === undefined) {
      if (character === '<' && /[a-z/!]/i.test(markup[index + 1] ?? '')) open = index;
    } else if (character === '"') isQuoted = !isQuoted;
    else if (character === '>' && !isQuoted) open = undefined;
  }
  return open === undefined ? undefined : markup.slice(open);
}

function contentOf(value: Content, place: Place): string {
  if (value === null || value === undefined || value === false) return '';
  if (Array.isArray(value)) return value.map((each: Content) => contentOf(each, place)).join('');
  if (value instanceof Html) {
    if (place === 'text' || place === 'tag') return value.text;
    throw new RangeError('an attribute takes a text, not markup');
  }
  if (place === 'tag') throw new RangeError('a tag takes no text: write an attribute in double quotes');
  const text = String(value);
  // Control characters and blanks in front do not keep a browser from following a scheme.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a browser drops.
  if (place === 'url' && !SAFE_URL.test(text.replace(/[\u0000-\u0020]/g, ''))) return BLOCKED_URL;
  return escapeHtml(text);
}
