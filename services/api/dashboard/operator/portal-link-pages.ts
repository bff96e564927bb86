import { randomUUID } from 'node:crypto';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import { LOCALES, READ_SCOPES } from '../../admin/portal-routes.ts';
import { SCOPES } from '../../http/caller.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { csrfField, dashboardPage, type PageText } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import { ACCOUNTS_PATH, type Account } from './account-list.ts';
import { submitted } from './form-fault.ts';

const PATH = `${ACCOUNTS_PATH}/{id}/portal-link`;

/** Choices for the lifetime of a link in seconds: for use at once, today, or tomorrow. */
const LIFETIMES = [300, 3_600, 86_400] as const;

/** A link into the dashboard of an account: a form, and the link once. */
export function portalLinkPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const show = async (visit: Visit, page: Promise<PageText>) =>
    pageResponse(dashboardPage(visit, visit.session, await page), deps);
  return [
    {
      method: 'GET',
      path: PATH,
      needs: undefined,
      handle: (visit) => show(visit, formPage(visit, defaults(), undefined)),
    },
    {
      method: 'POST',
      path: PATH,
      needs: undefined,
      handle: (visit) =>
        submitted(
          visit,
          deps,
          // Not a redirect: the link is shown only here. A form that is sent again gets the same link.
          () => show(visit, linkPage(visit)),
          (error) => formPage(visit, visit.form, error),
        ),
    },
  ];
}

function defaults(): URLSearchParams {
  return new URLSearchParams([
    ...READ_SCOPES.map((scope): [string, string] => ['scope', scope]),
    ['expires_in', '3600'],
    ['next', '/dashboard'],
  ]);
}

function requestOf(form: URLSearchParams): Record<string, unknown> {
  const some = (name: string) => {
    const value = form.get(name) ?? '';
    return value === '' ? {} : { [name]: value };
  };
  return {
    scopes: form.getAll('scope'),
    expires_in: Number(form.get('expires_in')),
    next: form.get('next') ?? '/dashboard',
    hide_navigation: form.has('hide_navigation'),
    ...some('theme'),
    ...some('locale'),
  };
}

const nameOf = async (visit: Visit) =>
  (await visit.ask<Account>('getAccountAsOperator', { params: { id: visit.request.param('id') } })).name;

async function linkPage(visit: Visit): Promise<PageText> {
  const id = visit.request.param('id');
  const { url, expires_at: until } = await visit.ask<{ url: string; expires_at: string }>(
    'createPortalLink',
    {
      params: { id },
      body: requestOf(visit.form),
      idempotencyKey: readIdempotencyKey(visit.form.get('request') ?? undefined) ?? randomUUID(),
    },
  );
  const text = visit.text.operator.link;
  const account = visit.href(`${ACCOUNTS_PATH}/${id}`);
  return page(
    text.made,
    html`<h1>${text.made}</h1><p class="lead">${text.once}</p>
<div class="code" data-copy><div class="code-head">${text.address}</div><pre tabindex="0"><code>${url}</code></pre></div>
<p>${text.until} <time datetime="${until}">${visit.formats.utc(until)}</time>.</p>
<p class="choices"><a class="button primary" href="${account}">${text.back}</a> <a class="button" href="${account}/portal-link">${text.another}</a></p>`,
  );
}

async function formPage(visit: Visit, form: URLSearchParams, error: AppError | undefined): Promise<PageText> {
  const id = visit.request.param('id');
  const title = visit.text.operator.link.title(await nameOf(visit));
  return page(title, formHtml(id, title, form, error, visit));
}

function page(title: string, body: Html): PageText {
  return { title, section: ACCOUNTS_PATH, styles: 'operator.css', body };
}

function formHtml(
  id: string,
  title: string,
  form: URLSearchParams,
  error: AppError | undefined,
  visit: Visit,
): Html {
  const text = visit.text.operator.link;
  const { nav } = visit.text.frame;
  const given = new Set(form.getAll('scope'));
  const choice = (name: string, label: string, options: readonly (readonly [string, string])[]) =>
    html`<div><label for="${name}">${label}</label><select id="${name}" name="${name}">${options.map(([value, shown]) => html`<option value="${value}"${flag('selected', form.get(name) === value)}>${shown}</option>`)}</select></div>`;
  return html`<h1>${title}</h1><p class="lead">${text.lead}</p>
${error && faultBox(visit.text.operator.save.invalid, error, { scopes: text.scopes, expires_in: text.expires, next: text.next })}
<form class="form" method="post" action="${visit.href(`${ACCOUNTS_PATH}/${id}/portal-link`)}">${csrfField(visit.session)}
<input type="hidden" name="request" value="${form.get('request') ?? randomUUID()}">
<fieldset><legend>${text.scopes}</legend><ul class="fields">${SCOPES.map((scope) => html`<li><label class="check"><input type="checkbox" name="scope" value="${scope}"${flag('checked', given.has(scope))}> <code>${scope}</code></label></li>`)}</ul></fieldset>
<div class="columns">
${choice('next', text.next, [
  ['/dashboard', nav.overview],
  ['/dashboard/exports', nav.exports],
  ['/dashboard/webhooks', nav.webhooks],
  ['/dashboard/bulk', nav.bulk],
  ['/dashboard/events', nav.events],
  ['/dashboard/keys', nav.keys],
])}
${choice(
  'expires_in',
  text.expires,
  LIFETIMES.map((seconds) => [String(seconds), visit.formats.duration(seconds)]),
)}
${choice('theme', text.theme, [
  ['', text.asBrowser],
  ['light', text.light],
  ['dark', text.dark],
])}
${choice('locale', text.locale, [['', text.asBrowser], ...LOCALES.map((locale) => [locale, locale] as const)])}
</div>
<label class="check"><input type="checkbox" name="hide_navigation" value="yes"${flag('checked', form.has('hide_navigation'))}> ${text.hide}</label>
<p class="choices"><button class="primary">${text.create}</button> <a class="button" href="${visit.href(`${ACCOUNTS_PATH}/${id}`)}">${text.back}</a></p></form>`;
}
