import type { z } from 'zod';
import { AUDIT_SCOPES } from '../../http/audit-log.ts';
import type { keySchema } from '../../keys/key-schemas.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { confirmedForm } from '../frame/layout.ts';
import { listLinks, searchHref } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';

export type Key = z.output<typeof keySchema>;

export interface KeyList {
  readonly data: readonly Key[];
  readonly next_cursor: string | null;
}

export const SECTION = '/dashboard/keys';

/** The keys of one state, newest first. */
export function keyListBody({ data, next_cursor: next }: KeyList, visit: Visit): Html {
  const text = visit.text.keys;
  const isRevoked = visit.query.get('status') === 'revoked';
  const status = isRevoked ? 'revoked' : undefined;
  const tab = (title: string, isCurrent: boolean, href: string) =>
    html`<li><a href="${href}"${flag('aria-current="true"', isCurrent)}>${title}</a></li>`;
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('keys:write') ? html`<a class="button primary" href="${visit.href(`${SECTION}/new`)}">${text.create}</a>` : null}</div>
<p class="muted">${text.lead}</p>
<nav class="filters" aria-label="${text.filter}"><ul>
${tab(text.active, !isRevoked, visit.href(SECTION))}
${tab(text.revoked, isRevoked, searchHref(visit, SECTION, { status: 'revoked' }))}
</ul></nav>
${data.length === 0 ? html`<p class="empty">${isRevoked ? text.noneRevoked : text.none}</p>` : html`<ul class="keys">${data.map((key) => entry(key, visit))}</ul>`}
${listLinks(visit, { path: SECTION, fields: { status }, next, words: { first: text.newest, next: text.older } })}`;
}

function entry(key: Key, visit: Visit): Html {
  const text = visit.text.keys;
  const { formats, session } = visit;
  const {
    id,
    prefix,
    scopes,
    last_used_at: used,
    created_at: created,
    revoked_at: revoked,
    made_by: maker,
  } = key;
  const name = key.name ?? text.unnamed;
  const isOwn = session.keyId === id;
  const activity = html`<a class="button" href="${searchHref(visit, '/dashboard/audit', { actor: id })}">${text.activity} <span class="hidden">${text.ofKey(name)}</span></a>`;
  return html`<li>
<div class="key-head"><strong class="clip">${name}</strong> <code>${prefix === null ? id : `${prefix}…`}</code>${isOwn ? html` <span class="badge" data-tone="blue">${text.yours}</span>` : null}</div>
<p class="scopes">${scopes.map((scope) => html`<code>${scope}</code> `)}</p>
<div class="key-foot"><p class="muted">${used === null ? text.neverUsed : html`${text.usedLabel}: ${formats.time(used)}`} · ${text.created}: ${formats.time(created)}${maker === null ? null : html` · ${text.madeBy}: <code>${maker}</code>`}${revoked === null ? null : html` · ${text.revokedAt}: ${formats.time(revoked)}`}</p>
${AUDIT_SCOPES.every((scope) => visit.may(scope)) ? activity : null}
${
  revoked === null && visit.may('keys:write')
    ? confirmedForm(visit, {
        action: visit.href(`${SECTION}/${id}/revoke`),
        title: text.revoke,
        question: `${text.confirmRevoke(key.name ?? prefix ?? id)}${isOwn ? ` ${text.confirmOwn}` : ''}`,
        fields: html`<label class="check"><input type="checkbox" name="with_made" value="true"> ${text.withMade}</label>`,
      })
    : null
}</div></li>`;
}
