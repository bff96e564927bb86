import { type Content, type Html, html } from '../../pages/html.ts';
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

/** How entries are shown: an account sees its own, the operator sees all. */
export interface EntryLook {
  readonly names: KeyNames;
  /** Sentences by action: `{actor}` did something with `{subject}`. */
  readonly sentences: Readonly<Record<string, string>>;
  /** The URL of everything that the actor did. */
  actorHref(actor: string): string;
  /** The URL of the entry's subject; undefined without a page. */
  subjectHref(entry: Entry): string | undefined;
}

/** Limit of a detail's length. */
const MAX_DETAIL = 300;

/** Who did what, as a sentence with links. An action that this release does not know is shown by its name. */
export function sentenceOf(entry: Entry, look: EntryLook, visit: Visit): Html {
  const { action } = entry;
  const template = wholeSubject(entry, visit) ?? look.sentences[action] ?? `{actor}: ${action} {subject}`;
  const parts: Readonly<Record<string, () => Html>> = {
    actor: () =>
      html`<a class="clip" href="${look.actorHref(entry.actor)}">${actorName(entry.actor, look.names, visit)}</a>`,
    subject: () => subjectLink(entry, look),
  };
  return html`${template.split(/\{(\w+)\}/).map((part, index): Content => (index % 2 === 0 ? part : parts[part]?.()))}`;
}

/** Sentences about all subjects of a kind at once. */
function wholeSubject(
  { action, subject_id: subject }: Entry,
  { text }: Pick<Visit, 'text'>,
): string | undefined {
  if (action === 'portal_session.revoked' && subject.startsWith('acct_')) return text.audit.allSessions;
  if (action === 'operator_session.revoked' && subject === 'all') return text.operator.audit.allSessions;
  return undefined;
}

/** The actor in words. */
export function actorName(actor: string, names: KeyNames, { text }: Pick<Visit, 'text'>): string {
  const { actors } = text.audit;
  if (actor === 'operator' || actor === 'link') return actors[actor];
  if (actor.startsWith('ses_')) return actors.session;
  if (actor.startsWith('plk_')) return actors.portalLink;
  if (actor.startsWith('key_')) return `${actors.key} ${names.get(actor) ?? actor}`;
  return actor;
}

function subjectLink(entry: Entry, look: EntryLook): Html {
  const { subject_id: id } = entry;
  const name = look.names.get(id);
  if (name !== undefined) return html`<span class="clip">${name}</span> <code>${id}</code>`;
  const href = look.subjectHref(entry);
  return href === undefined ? html`<code>${id}</code>` : html`<a class="id" href="${href}">${id}</a>`;
}

/** The action's sentence without actor and subject. */
export function actionName(action: string, sentences: EntryLook['sentences']): string {
  return (sentences[action] ?? action)
    .replace('{actor}', '…')
    .replace(/:? ?\{subject\}/, '')
    .replace(/\.$/, '');
}

/** The area that an action belongs to. */
export function groupOf(action: string, { text }: Visit): string {
  const groups: Readonly<Record<string, string>> = text.audit.groups;
  return groups[action.split('.', 1)[0] ?? ''] ?? action;
}

/** The other details of an entry: `Format: csv`. */
export function detailsOf(
  { details, subject_id: subject }: Entry,
  { names }: Pick<EntryLook, 'names'>,
  visit: Visit,
): Html | null {
  // The sentence already has the name of the key.
  const isNew = (name: string) => name !== 'name' || !names.has(subject);
  const entries = Object.entries(details).filter(
    ([name, value]) => value !== null && value !== undefined && isNew(name),
  );
  if (entries.length === 0) return null;
  return html`<small>${entries.map(([name, value], index) => html`${index === 0 ? null : ' · '}${labelOf(name, visit)}: ${cut(detailText(value, visit))}`)}</small>`;
}

function labelOf(name: string, { text }: Visit): string {
  return text.audit.details[name] ?? name;
}

/** Members of an object as `Limits: Exports at once 5, Bulk quota (Items 1,000, Period day)`. */
function detailText(value: unknown, visit: Visit): string {
  const { values } = visit.text.audit;
  if (value === null || value === undefined) return values.none;
  if (typeof value === 'number') return visit.formats.number(value);
  if (typeof value === 'boolean') return value ? values.yes : values.no;
  if (typeof value === 'string') return visit.text.audit.reasons[value] ?? value;
  if (Array.isArray(value)) return value.map((each) => detailText(each, visit)).join(', ');
  return Object.entries(value)
    .map(([name, member]) => {
      const shown = detailText(member, visit);
      const isGroup = typeof member === 'object' && member !== null && !Array.isArray(member);
      return `${labelOf(name, visit)} ${isGroup ? `(${shown})` : shown}`;
    })
    .join(', ');
}

function cut(text: string): string {
  return text.length > MAX_DETAIL ? `${text.slice(0, MAX_DETAIL).toWellFormed()}…` : text;
}
