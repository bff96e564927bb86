import { type Content, type Html, html } from '../../pages/html.ts';
import { searchHref } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';

export interface Entry {
  readonly id: string;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject_id: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Names of keys, by their IDs. */
export type KeyNames = ReadonlyMap<string, string>;

/** Pages of what an entry is about, by the beginnings of IDs. */
const PAGES: Readonly<Record<string, string>> = {
  exp: '/dashboard/exports/',
  whk: '/dashboard/webhooks/',
  blk: '/dashboard/bulk/',
  evt: '/dashboard/events/',
};

/** Characters of a detail. */
const MAX_DETAIL = 300;

/** Who did what, as a sentence with links. An action that this release does not know is shown by its name. */
export function sentenceOf(entry: Entry, names: KeyNames, visit: Visit): Html {
  const text = visit.text.audit;
  const { action, subject_id: subject } = entry;
  const sentences: Readonly<Record<string, string>> = text.sentences;
  const isOfAll = action === 'portal_session.revoked' && subject.startsWith('acct_');
  const template = isOfAll ? text.allSessions : (sentences[action] ?? `{actor}: ${action} {subject}`);
  const parts: Readonly<Record<string, () => Html>> = {
    actor: () => actorLink(entry.actor, names, visit),
    subject: () => subjectLink(subject, names, visit),
  };
  return html`${template.split(/\{(\w+)\}/).map((part, index): Content => (index % 2 === 0 ? part : parts[part]?.()))}`;
}

/** Who it was, in words. */
export function actorName(actor: string, names: KeyNames, { text }: Pick<Visit, 'text'>): string {
  const { actors } = text.audit;
  if (actor === 'operator' || actor === 'link') return actors[actor];
  if (actor.startsWith('ses_')) return actors.session;
  if (actor.startsWith('plk_')) return actors.portalLink;
  if (actor.startsWith('key_')) return `${actors.key} ${names.get(actor) ?? actor}`;
  return actor;
}

/** Leads to everything that they did. */
function actorLink(actor: string, names: KeyNames, visit: Visit): Html {
  return html`<a class="clip" href="${searchHref(visit, '/dashboard/audit', { actor })}">${actorName(actor, names, visit)}</a>`;
}

function subjectLink(id: string, names: KeyNames, visit: Visit): Html {
  const name = names.get(id);
  if (name !== undefined) return html`<span class="clip">${name}</span> <code>${id}</code>`;
  const page = PAGES[id.split('_', 1)[0] ?? ''];
  return page === undefined
    ? html`<code>${id}</code>`
    : html`<a class="id" href="${visit.href(`${page}${id}`)}">${id}</a>`;
}

/** What else is known of it: `Format: csv`. */
export function detailsOf(
  { details, subject_id: subject }: Entry,
  names: KeyNames,
  visit: Visit,
): Html | null {
  const text = visit.text.audit;
  // The sentence has the name of a key already.
  const isNew = (name: string) => name !== 'name' || !names.has(subject);
  const entries = Object.entries(details).filter(
    ([name, value]) => value !== null && value !== undefined && isNew(name),
  );
  if (entries.length === 0) return null;
  return html`<small>${entries.map(([name, value], index) => html`${index === 0 ? null : ' · '}${text.details[name] ?? name}: ${detailText(value, visit)}`)}</small>`;
}

function detailText(value: unknown, visit: Visit): string {
  if (typeof value === 'number') return visit.formats.number(value);
  const isList = Array.isArray(value) && value.every((each) => typeof each === 'string');
  const text = isList ? value.join(', ') : typeof value === 'string' ? value : JSON.stringify(value);
  const shown = visit.text.audit.reasons[text] ?? text;
  return shown.length > MAX_DETAIL ? `${shown.slice(0, MAX_DETAIL).toWellFormed()}…` : shown;
}
