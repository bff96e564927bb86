import type { Secret } from '../../../../shared/runtime/env.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { OpenPortalLink } from '../../admin/portal-store.ts';
import { authenticate, type KeyStore } from '../../http/caller.ts';
import { problemHeaders } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest, Route } from '../../http/route.ts';
import { defineForm, definePage } from '../../pages/define-page.ts';
import { html } from '../../pages/html.ts';
import { inLanguage } from '../frame/fault-words.ts';
import { type OwnForm, readForm } from '../frame/form.ts';
import { languageChoice, ownPlace } from '../frame/language-choice.ts';
import { dashboardPage, type PageText, type View } from '../frame/layout.ts';
import type { SessionCookies } from '../frame/session-cookie.ts';
import type { Entry, OpenedSession, Session, Sessions } from '../frame/sessions.ts';
import {
  type DashboardPage,
  pageResponse,
  seeOther,
  type Visit,
  type VisitDeps,
  viewOf,
} from '../frame/visit.ts';
import { homeOf, isOperatorPath } from '../frame/visitor.ts';
import { type VisitLimiter, withinLimits } from '../frame/within-limits.ts';
import { acceptedLanguage } from '../messages/messages.ts';

export interface EntryDeps extends VisitDeps {
  readonly sessions: Sessions;
  readonly cookies: SessionCookies;
  /** Undefined where `PUBLIC_URL` is not set. */
  readonly publicOrigin: () => string | undefined;
  readonly adminKey: Secret;
  readonly keys: KeyStore;
  readonly lifetimeSeconds: number;
  readonly refreshUrl: string | undefined;
  readonly limiter: VisitLimiter;
  /** Time limit of a form from a visitor without a session. */
  readonly entryFormMs: number;
  /** Opens an operator session for a form with the operator's key. */
  enterAsOperator(request: ApiRequest, form: OwnForm): Promise<ApiResponse>;
}

/** Size limit of a form from a visitor without a session: a key or code, and the next page. */
const MAX_ENTRY_BYTES = 4_096;

/** The public sign-in pages: by API key, or by a link from the product's backend. */
export function entryRoutes(deps: EntryDeps): Route[] {
  const show = (view: View, page: PageText, status?: number, headers?: Readonly<Record<string, string>>) =>
    pageResponse(dashboardPage(view, undefined, page), deps, status, headers);
  const foreign = ({ text }: View) => text.frame.problems.origin(deps.publicOrigin());
  const toView = (request: ApiRequest) => viewOf(request, undefined, deps.to);
  const entryOf = async (request: ApiRequest): Promise<Entry> => {
    const replaced = (await sessionsOf(request, deps)).filter(({ state }) => state === 'active');
    return { isFramed: isFramed(request), replaced };
  };
  const enter = (
    { token, next }: OpenedSession,
    { isSecure }: OwnForm,
    { isFramed }: Entry,
  ): ApiResponse => ({
    ...seeOther(next),
    cookies: deps.cookies.set(token, { isSecure, isFramed, maxAgeSeconds: deps.lifetimeSeconds }),
  });
  return [
    definePage('/dashboard/login', async (request) => {
      const view = toView(request);
      return show(view, loginPage(view, nextOf(request.querystring)));
    }),
    defineForm('/dashboard/login', async (request) => {
      const view = toView(request);
      const form = await readOwnForm(request, deps);
      if (form === undefined) return show(view, loginPage(view, '/dashboard', foreign(view)), 403);
      const next = nextOf(form.fields.toString());
      const refuse = (fault: string, status: number, headers?: Readonly<Record<string, string>>) =>
        show(view, loginPage(view, next, fault), status, headers);
      const key = form.fields.get('key')?.trim() ?? '';
      try {
        const caller = await authenticate(`Bearer ${key}`, deps.adminKey, deps.keys);
        if (caller.kind !== 'account') {
          return isFramed(request)
            ? refuse(view.text.operator.entry.framed, 403)
            : await deps.enterAsOperator(request, form);
        }
        const opened = await withinLimits(deps.limiter, caller.accountId, caller.keyPrint, async (run) => {
          const entry = await entryOf(request);
          return { ...(await run(() => deps.sessions.openByKey(caller, entry))), entry };
        });
        const place = isOperatorPath(next) ? homeOf(undefined) : next;
        return enter({ ...opened, next: place }, form, opened.entry);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        if (error.code === 'unauthorized') return refuse(view.text.entry.login.unknown, 401);
        if (error.code === 'too_many')
          return refuse(inLanguage(error, view.text).message, 429, problemHeaders(error));
        throw error;
      }
    }),
    definePage('/dashboard/enter', async (request) => {
      const view = toView(request);
      return show(view, enterPage(view, deps.refreshUrl));
    }),
    defineForm('/dashboard/enter', async (request) => {
      const view = toView(request);
      const form = await readOwnForm(request, deps);
      const refuse = (fault: string, status: number) =>
        show(view, enterPage(view, deps.refreshUrl, fault), status);
      if (form === undefined) return refuse(foreign(view), 403);
      const code = form.fields.get('code')?.trim() ?? '';
      // Anybody may send codes, so only an open link's code starts a transaction.
      const link = await deps.sessions.findLink(code);
      if (link === undefined) return refuse(view.text.entry.enter.invalid, 401);
      const entry = await entryOf(request);
      const asked = form.fields.has('replace') ? undefined : otherAccount(link, entry);
      if (asked !== undefined) return show(view, replacePage(view, code, asked), 409);
      const opened = await withinLimits(deps.limiter, link.accountId, `link:${link.id}`, (run) =>
        run(() => deps.sessions.openByCode(code, entry)),
      );
      return opened === undefined ? refuse(view.text.entry.enter.invalid, 401) : enter(opened, form, entry);
    }),
  ];
}

/** The target of the language choice in an account page's footer. */
export function languagePage({ sessions }: Pick<EntryDeps, 'sessions'>): DashboardPage {
  return languageChoice('/dashboard/language', (session, locale) => sessions.setLocale(session, locale));
}

/** The sessions of the browser's cookies, including ended ones. */
export function sessionsOf(
  request: ApiRequest,
  { cookies, sessions }: Pick<EntryDeps, 'cookies' | 'sessions'>,
): Promise<Session[]> {
  return sessions.find(cookies.read(request.header('cookie')));
}

/** The names of the visitor's present account and of the link's account. */
interface Change {
  readonly from: string;
  readonly to: string;
}

/** Another site may have sent the visitor to the link, so a change of account needs a confirmation. */
function otherAccount(link: OpenPortalLink, { replaced }: Entry): Change | undefined {
  const from = replaced.find(({ accountId }) => accountId !== link.accountId);
  return from && { from: from.accountName, to: link.accountName };
}

/** @returns undefined for a form from another site */
async function readOwnForm(
  request: ApiRequest,
  { publicOrigin, entryFormMs }: Pick<EntryDeps, 'publicOrigin' | 'entryFormMs'>,
): Promise<OwnForm | undefined> {
  try {
    const limits = { maxBytes: MAX_ENTRY_BYTES, jsonBodyMs: entryFormMs };
    return await readForm(
      request,
      publicOrigin(),
      acceptedLanguage(request.header('accept-language')).text.frame.problems,
      limits,
    );
  } catch (error) {
    if (error instanceof AppError && error.code === 'forbidden') return undefined;
    throw error;
  }
}

/** Browsers state where a requested page will be shown. */
function isFramed(request: ApiRequest): boolean {
  return ['iframe', 'frame', 'embed', 'object'].includes(request.header('sec-fetch-dest') ?? '');
}

/** The page after signing in: only a page of the dashboard. */
function nextOf(querystring: string): string {
  return ownPlace(new URLSearchParams(querystring).get('next'));
}

function loginPage(view: View, next: string, fault?: string): PageText {
  const text = view.text.entry.login;
  return {
    title: text.title,
    body: html`<div class="card entry">
<h1>${text.title}</h1>
<p class="muted">${text.lead}</p>
${fault && html`<p class="fault" role="alert" id="fault">${fault}</p>`}
<form method="post" action="${view.href('/dashboard/login')}">
<input type="hidden" name="next" value="${next}">
<label for="key">${text.key}</label>
<input id="key" name="key" type="password" autocomplete="off" spellcheck="false" required placeholder="tk_…"${fault === undefined ? null : html` aria-invalid="true" aria-describedby="fault"`}>
<button class="primary">${text.submit}</button>
</form></div>`,
  };
}

/**
 * The code is in the fragment of the URL, so no server and no log sees it before the form is sent. A module puts it
 * into the form; without JavaScript the visitor does.
 */
function enterPage(view: View, refreshUrl: string | undefined, fault?: string): PageText {
  const text = view.text.entry.enter;
  return {
    title: text.title,
    module: 'enter.js',
    body: html`<div class="card entry">
<h1>${text.title}</h1>
${
  fault === undefined
    ? html`<p class="muted">${text.lead}</p><p class="muted unscripted">${text.noScript}</p>`
    : html`<p class="fault" role="alert">${fault}</p>${refreshUrl && html`<p><a class="button primary" href="${refreshUrl}" target="_top">${text.away}</a></p>`}`
}
<form method="post" action="${view.href('/dashboard/enter')}" data-enter>
<label for="code">${text.code}</label>
<input id="code" name="code" type="password" autocomplete="off" spellcheck="false" required>
<button class="primary">${text.submit}</button>
</form></div>`,
  };
}

/** Asks before a link changes the visitor's account. Only the visitor can press the button, no module does. */
function replacePage(view: View, code: string, accounts: Change): PageText {
  const text = view.text.entry.replace;
  return {
    title: text.title,
    module: 'enter.js',
    body: html`<div class="card entry">
<h1>${text.title}</h1>
<p role="alert">${text.lead(accounts.from, accounts.to)}</p>
<form method="post" action="${view.href('/dashboard/enter')}" data-enter>
<input type="hidden" name="code" value="${code}">
<p class="choices"><button class="primary" name="replace" value="yes">${text.submit}</button>
<a class="button" href="${view.href('/dashboard')}">${text.stay}</a></p>
</form></div>`,
  };
}

/** The page for a visitor whose session has ended. */
export function overResponse(request: ApiRequest, session: Session, deps: EntryDeps): ApiResponse {
  const view = viewOf(request, session, deps.to);
  const text = view.text.entry.over;
  const page: PageText = {
    title: text.title,
    body: html`<div class="card entry">
<h1>${text.title}</h1>
<p class="muted">${session.state === 'revoked' ? text.revoked : text.expired}</p>
<p class="choices">${deps.refreshUrl && html`<a class="button primary" href="${deps.refreshUrl}" target="_top">${text.again}</a>`}
<a class="button" href="${view.href('/dashboard/login')}">${text.signIn}</a></p>
</div>`,
  };
  return {
    ...pageResponse(dashboardPage(view, undefined, page), deps, 401),
    cookies: deps.cookies.clear(request.header('cookie')),
  };
}

export function signedOutResponse(
  { request, session }: Pick<Visit, 'request' | 'session'>,
  deps: EntryDeps,
): ApiResponse {
  const view = viewOf(request, session, deps.to);
  const text = view.text.entry.signedOut;
  const page: PageText = {
    title: text.title,
    body: html`<div class="card entry"><h1>${text.title}</h1><p class="muted">${text.lead}</p>
<p><a class="button" href="${view.href('/dashboard/login')}">${view.text.entry.over.signIn}</a></p></div>`,
  };
  return {
    ...pageResponse(dashboardPage(view, undefined, page), deps),
    cookies: deps.cookies.clear(request.header('cookie')),
  };
}
