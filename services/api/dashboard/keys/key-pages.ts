import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { SCOPES, type Scope } from '../../http/caller.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { newKeySchema } from '../../keys/key-schemas.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { csrfField, dashboardPage } from '../frame/layout.ts';
import { refusalOf } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { type Key, type KeyList, keyListBody, SECTION } from './key-list.ts';

type NewKey = z.output<typeof newKeySchema>;

const STYLES = 'events.css';
const PAGE_SIZE = 25;

/** The account's API keys: their list, a new one, and the end of one. */
export function keyPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const show = (visit: Visit, title: string, body: Html, status = 200) =>
    pageResponse(
      dashboardPage(visit, visit.session, { title, section: SECTION, styles: STYLES, body }),
      deps,
      status,
    );
  const write = { needs: 'keys:write' } as const;
  const form = (visit: Visit, error?: AppError) =>
    show(visit, visit.text.keys.form.title, formBody(visit, error), error && PROBLEMS[error.code].status);
  return [
    {
      method: 'GET',
      path: SECTION,
      needs: 'keys:read',
      handle: async (visit) => show(visit, visit.text.keys.title, keyListBody(await readKeys(visit), visit)),
    },
    { ...write, method: 'GET', path: `${SECTION}/new`, handle: async (visit) => form(visit) },
    {
      ...write,
      method: 'POST',
      path: `${SECTION}/new`,
      async handle(visit) {
        const scopes = visit.form.getAll('scope');
        const name = visit.form.get('name')?.trim() ?? '';
        try {
          if (scopes.length === 0) throw new AppError('invalid', visit.text.keys.form.nothingChosen);
          const made = await visit.ask<NewKey>('createAccountKey', {
            body: { scopes, ...(name === '' ? {} : { name }) },
            // A form that is sent twice creates one key. The same session sees it again.
            idempotencyKey: readIdempotencyKey(visit.form.get('request') ?? undefined) ?? randomUUID(),
          });
          return show(visit, visit.text.keys.made.title, madeBody(made, visit));
        } catch (error) {
          return form(visit, refusalOf(error));
        }
      },
    },
    {
      ...write,
      method: 'POST',
      path: `${SECTION}/{id}/revoke`,
      async handle(visit) {
        const withMade = visit.form.get('with_made') === 'true';
        await visit.send('revokeAccountKey', {
          params: { id: visit.request.param('id') },
          ...(withMade ? { query: { with_made: 'true' } } : {}),
        });
        return seeOther(visit.may('keys:read') ? SECTION : '/dashboard');
      },
    },
  ];
}

async function readKeys(visit: Visit): Promise<KeyList> {
  const cursor = visit.query.get('cursor');
  const status = visit.query.get('status') ?? 'active';
  const query = { limit: PAGE_SIZE, status, ...(cursor === null ? {} : { cursor }) };
  return visit.ask<{ data: Key[]; next_cursor: string | null }>('listAccountKeys', { query });
}

function formBody(visit: Visit, error: AppError | undefined): Html {
  const text = visit.text.keys.form;
  const { form } = visit;
  const chosen = new Set(form.getAll('scope'));
  const own = SCOPES.filter((scope) => visit.may(scope));
  return html`<h1>${text.title}</h1>
${error && faultBox(text.refused, error, { name: text.name, scopes: text.scopes })}
<form method="post" action="${visit.href(`${SECTION}/new`)}" class="form">
${csrfField(visit.session)}
<input type="hidden" name="request" value="${randomUUID()}">
<label for="name">${text.name}</label>
<input id="name" name="name" maxlength="200" value="${form.get('name')}" autocomplete="off" aria-describedby="name-hint">
<p class="muted hint" id="name-hint">${text.nameHint}</p>
<fieldset aria-describedby="scopes-hint"><legend>${text.scopes}</legend>
<p class="muted hint" id="scopes-hint">${text.scopesHint}</p>
<ul class="plain scopes-choice">${own.map((scope) => scopeChoice(scope, chosen.has(scope), visit))}</ul></fieldset>
<p class="choices"><button class="primary">${text.create}</button></p>
</form>`;
}

function scopeChoice(scope: Scope, isChosen: boolean, visit: Visit): Html {
  return html`<li><label class="check"><input type="checkbox" name="scope" value="${scope}"${flag('checked', isChosen)}> <code>${scope}</code><span class="muted">${visit.text.keys.scope[scope]}</span></label></li>`;
}

function madeBody({ key, name, scopes }: NewKey, visit: Visit): Html {
  const text = visit.text.keys.made;
  return html`<h1>${text.title}</h1>
<p class="states"><strong class="clip">${name ?? visit.text.keys.unnamed}</strong> <span class="scopes">${scopes.map((scope) => html`<code>${scope}</code> `)}</span></p>
${
  key === undefined
    ? html`<p class="note" role="status">${text.withheld}</p>`
    : html`<p class="note" role="status">${text.lead}</p>
<div class="code secret" data-copy=""><div class="code-head">${text.key}</div><pre tabindex="0"><code>${key}</code></pre></div>`
}
<p><a class="button primary" href="${visit.href(SECTION)}">${text.done}</a></p>`;
}
