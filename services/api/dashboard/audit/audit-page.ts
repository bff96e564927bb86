import type { AppError } from '../../../../shared/runtime/errors.ts';
import { PROBLEMS } from '../../http/problem.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { dashboardPage } from '../frame/layout.ts';
import {
  instantOf,
  listLinks,
  refusalOf,
  searchFields,
  searchHref,
  timeRange,
} from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import {
  actionName,
  actorName,
  detailsOf,
  type Entry,
  type EntryLook,
  groupOf,
  type KeyNames,
  sentenceOf,
} from './sentence.ts';

const SECTION = '/dashboard/audit';
const STYLES = 'events.css';
const PAGE_SIZE = 50;

/** Limit of keys whose names are shown: as many as an account may use, and those revoked last. */
const MAX_KEYS = 200;

const SEARCH_FIELDS = ['action', 'actor', 'from', 'to'] as const;

interface AuditList {
  readonly keys: KeyNames;
  readonly found: { readonly data: readonly Entry[]; readonly next_cursor: string | null } | undefined;
  readonly error?: AppError;
}

/** The account's part of the audit log. The operation checks the scopes, because several allow it. */
export function auditPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    {
      method: 'GET',
      path: SECTION,
      needs: undefined,
      async handle(visit) {
        const list = await readList(visit);
        const { title } = visit.text.audit;
        const page = { title, section: SECTION, styles: STYLES, body: body(list, visit) };
        const status = list.error === undefined ? 200 : PROBLEMS[list.error.code].status;
        return pageResponse(dashboardPage(visit, visit.session, page), deps, status);
      },
    },
  ];
}

async function readList(visit: Visit): Promise<AuditList> {
  const { from, to, ...rest } = searchFields(visit, [...SEARCH_FIELDS, 'cursor']);
  const times = { from: instantOf(from), to: instantOf(to) };
  const given = Object.fromEntries(
    Object.entries({ ...rest, ...times }).filter(([, value]) => value !== undefined),
  );
  const query = { limit: PAGE_SIZE, ...given };
  try {
    const found = await visit.ask<NonNullable<AuditList['found']>>('listAccountAuditEntries', { query });
    return { keys: await readKeyNames(visit), found };
  } catch (error) {
    const refused = refusalOf(error);
    // Without the right to read the log, no filter form is shown.
    if (refused.code === 'forbidden') throw refused;
    return { keys: await readKeyNames(visit), found: undefined, error: refused };
  }
}

async function readKeyNames(visit: Visit): Promise<KeyNames> {
  if (!visit.may('keys:read')) return new Map();
  const { data } = await visit.ask<{ data: { id: string; name: string | null; prefix: string | null }[] }>(
    'listAccountKeys',
    { query: { limit: MAX_KEYS } },
  );
  return new Map(data.map(({ id, name, prefix }) => [id, name ?? (prefix === null ? id : `${prefix}…`)]));
}

function body({ keys, found, error }: AuditList, visit: Visit): Html {
  const text = visit.text.audit;
  return html`<h1>${text.title}</h1>
<p class="muted">${text.lead}</p>
${searchForm(keys, visit)}
${error && faultBox(text.refused, error, { action: text.action, actor: text.actor, from: text.range.from, to: text.range.to })}
${found && results(found, keys, visit)}`;
}

function searchForm(keys: KeyNames, visit: Visit): Html {
  const text = visit.text.audit;
  const fields = searchFields(visit, SEARCH_FIELDS);
  const option = (name: 'action' | 'actor', value: string, title: string) =>
    html`<option value="${value}"${flag('selected', (fields[name] ?? '') === value)}>${title}</option>`;
  const actions = Object.keys(text.sentences);
  const groups = [...new Set(actions.map((action) => groupOf(action, visit)))];
  const actors = new Set([
    'operator',
    'link',
    ...keys.keys(),
    ...(fields.actor === undefined ? [] : [fields.actor]),
  ]);
  return html`<form method="get" action="${visit.href(SECTION)}" class="search" role="search">
<div><label for="action">${text.action}</label><select id="action" name="action">${option('action', '', text.allActions)}
${groups.map((group) => html`<optgroup label="${group}">${actions.filter((action) => groupOf(action, visit) === group).map((action) => option('action', action, actionName(action, text.sentences)))}</optgroup>`)}</select></div>
<div><label for="actor">${text.actor}</label><select id="actor" name="actor">${option('actor', '', text.anyone)}
${[...actors].map((actor) => option('actor', actor, isNamed(actor, keys) ? actorName(actor, keys, visit) : `${actorName(actor, keys, visit)} (${actor})`))}</select></div>
${timeRange(text.range, fields)}
<p class="choices"><button class="primary">${text.search}</button>${Object.keys(fields).length > 0 ? html`<a class="button" href="${visit.href(SECTION)}">${text.clear}</a>` : null}</p>
</form>`;
}

function isNamed(actor: string, keys: KeyNames): boolean {
  return actor === 'operator' || actor === 'link' || keys.has(actor);
}

/** The page of an entry's subject, by the prefix of its ID. */
const PAGES: Readonly<Record<string, string>> = {
  exp: '/dashboard/exports/',
  whk: '/dashboard/webhooks/',
  blk: '/dashboard/bulk/',
  evt: '/dashboard/events/',
};

function lookOf(names: KeyNames, visit: Visit): EntryLook {
  return {
    names,
    sentences: visit.text.audit.sentences,
    actorHref: (actor) => searchHref(visit, SECTION, { actor }),
    subjectHref({ subject_id: id, details }) {
      const page = PAGES[id.split('_', 1)[0] ?? ''];
      const isCheck = details.format === 'digest';
      return page && visit.href(`${isCheck ? '/dashboard/verify/' : page}${id}`);
    },
  };
}

function results(
  { data, next_cursor: next }: NonNullable<AuditList['found']>,
  keys: KeyNames,
  visit: Visit,
): Html {
  const text = visit.text.audit;
  const fields = searchFields(visit, SEARCH_FIELDS);
  const look = lookOf(keys, visit);
  return html`${
    data.length === 0
      ? html`<p class="empty" role="status">${text.none}</p>`
      : html`<table class="list audit"><thead><tr><th scope="col">${text.columns.what}</th><th scope="col" class="number">${text.columns.time}</th></tr></thead>
<tbody>${data.map(
          (entry) => html`<tr><td>${sentenceOf(entry, look, visit)}
${detailsOf(entry, look, visit)}</td><td class="number">${visit.formats.time(entry.at)}</td></tr>`,
        )}</tbody></table>`
  }
${listLinks(visit, { path: SECTION, fields, next, words: { first: text.newest, next: text.older } })}`;
}
