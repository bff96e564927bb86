import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';

interface Named {
  readonly type: string;
  readonly resource: string;
  readonly key?: unknown;
}

/** Limit of a key's length in a title. */
const MAX_KEY = 80;

/** `invoices 1001`. An event without a record, such as a reset, is named by its type. */
export function describeRecord({ type, resource, key }: Named): string {
  if (typeof key !== 'object' || key === null) return type;
  const values = Object.values(key).map((part) => (typeof part === 'string' ? part : JSON.stringify(part)));
  return `${resource} ${shortened(values.join(', '), MAX_KEY)}`;
}

/** The key in the form of the search; undefined for an event without a record. */
export function searchKeyOf({ key }: Pick<Named, 'key'>): string | undefined {
  if (typeof key !== 'object' || key === null) return undefined;
  const values = Object.values(key).map((part) => (typeof part === 'string' ? part : JSON.stringify(part)));
  return values.length === 1 ? values[0] : JSON.stringify(values);
}

/** The text, cut to a length with an ellipsis. */
export function shortened(text: string, characters: number): string {
  return text.length > characters ? `${text.slice(0, characters).toWellFormed()}…` : text;
}

const TONES: Readonly<Record<string, string>> = {
  created: 'green',
  updated: 'blue',
  deleted: 'red',
  reset: 'amber',
};

/** The kind of change as a coloured word. */
export function verbBadge({ type }: Pick<Named, 'type'>, { text }: Pick<Visit, 'text'>): Html {
  const words: Readonly<Record<string, string>> = text.events.verbs;
  const verb = type.split('.').at(-1) ?? type;
  return html`<span class="badge" data-tone="${TONES[verb] ?? ''}">${words[verb] ?? verb}</span>`;
}
