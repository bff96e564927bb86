import type { Secret } from '../../../shared/runtime/env.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { DASHBOARD_PATH } from '../admin/portal-routes.ts';
import { authenticate, type KeyStore } from '../http/caller.ts';
import type { ApiResponse } from '../http/response.ts';
import type { ApiRequest, Route } from '../http/route.ts';
import { defineForm, definePage } from '../pages/define-page.ts';
import { html } from '../pages/html.ts';
import { dashboardPage, type PageText } from './layout.ts';
import { MESSAGES } from './messages.ts';
import type { SessionCookies } from './session-cookie.ts';
import type { OpenedSession, Session, Sessions } from './sessions.ts';
import { pageResponse, readForm, seeOther, type VisitDeps } from './visit.ts';

export interface EntryDeps extends VisitDeps {
  readonly sessions: Sessions;
  readonly cookies: SessionCookies;
  readonly publicOrigin: () => string;
  readonly adminKey: Secret;
  readonly keys: KeyStore;
  readonly lifetimeSeconds: number;
  readonly refreshUrl: string | undefined;
}

/** The ways in: by API key, and by the link that the product's backend makes. Everybody may ask for these pages. */
export function entryRoutes(deps: EntryDeps): Route[] {
  const show = (page: PageText, status?: number) =>
    pageResponse(dashboardPage(deps.to, undefined, page), deps, status);
  const enter = (request: ApiRequest, { token, next }: OpenedSession): ApiResponse =>
    seeOther(next, {
      'set-cookie': deps.cookies.set(token, {
        isFramed: isFramed(request),
        maxAgeSeconds: deps.lifetimeSeconds,
      }),
    });
  return [
    definePage('/dashboard/login', async (request) => show(loginPage(deps, nextOf(request.querystring)))),
    defineForm('/dashboard/login', async (request) => {
      const form = await readOwnForm(request, deps);
      if (form === undefined) return show(loginPage(deps, '/dashboard', MESSAGES.problems.origin), 403);
      const next = nextOf(form.toString());
      const key = form.get('key')?.trim() ?? '';
      try {
        const caller = await authenticate(`Bearer ${key}`, deps.adminKey, deps.keys);
        if (caller.kind !== 'account') return show(loginPage(deps, next, MESSAGES.login.operator), 403);
        const opened = await deps.sessions.openByKey(caller, isFramed(request));
        return enter(request, { ...opened, next });
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'unauthorized') throw error;
        return show(loginPage(deps, next, MESSAGES.login.unknown), 401);
      }
    }),
    definePage('/dashboard/enter', async () => show(enterPage(deps))),
    defineForm('/dashboard/enter', async (request) => {
      const form = await readOwnForm(request, deps);
      if (form === undefined) return show(enterPage(deps, MESSAGES.problems.origin), 403);
      const code = form.get('code')?.trim() ?? '';
      const opened = await deps.sessions.openByCode(code, isFramed(request));
      return opened === undefined
        ? show(enterPage(deps, MESSAGES.enter.invalid), 401)
        : enter(request, opened);
    }),
  ];
}

/** @returns undefined for one that another site has sent */
async function readOwnForm(
  request: ApiRequest,
  { publicOrigin }: Pick<EntryDeps, 'publicOrigin'>,
): Promise<URLSearchParams | undefined> {
  try {
    return await readForm(request, publicOrigin());
  } catch (error) {
    if (error instanceof AppError && error.code === 'forbidden') return undefined;
    throw error;
  }
}

/** Browsers say where the page that they ask for will stand. */
function isFramed(request: ApiRequest): boolean {
  return ['iframe', 'frame', 'embed', 'object'].includes(request.header('sec-fetch-dest') ?? '');
}

/** Where to go after signing in: a page of the dashboard, and nowhere else. */
function nextOf(querystring: string): string {
  const next = new URLSearchParams(querystring).get('next') ?? '';
  return DASHBOARD_PATH.test(next) ? next : '/dashboard';
}

function loginPage({ to }: EntryDeps, next: string, fault?: string): PageText {
  const text = MESSAGES.login;
  return {
    title: text.title,
    body: html`<div class="card entry">
<h1>${text.title}</h1>
<p class="muted">${text.lead}</p>
${fault && html`<p class="fault" role="alert" id="fault">${fault}</p>`}
<form method="post" action="${to.href('/dashboard/login')}">
<input type="hidden" name="next" value="${next}">
<label for="key">${text.key}</label>
<input id="key" name="key" type="password" autocomplete="off" spellcheck="false" required placeholder="tk_…"${fault === undefined ? null : html` aria-invalid="true" aria-describedby="fault"`}>
<button class="primary">${text.submit}</button>
</form></div>`,
  };
}

/**
 * The code is in the fragment of the address, so no server and no log sees it before the form is sent: a module takes it
 * from there, and without JavaScript the visitor does.
 */
function enterPage({ to, refreshUrl }: EntryDeps, fault?: string): PageText {
  const text = MESSAGES.enter;
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
<form method="post" action="${to.href('/dashboard/enter')}" data-enter>
<label for="code">${text.code}</label>
<input id="code" name="code" type="password" autocomplete="off" spellcheck="false" required>
<button class="primary">${text.submit}</button>
</form></div>`,
  };
}

/** What somebody sees whose session has ended. */
export function overResponse(session: Session, deps: EntryDeps): ApiResponse {
  const text = MESSAGES.over;
  const page: PageText = {
    title: text.title,
    body: html`<div class="card entry">
<h1>${text.title}</h1>
<p class="muted">${session.state === 'revoked' ? text.revoked : text.expired}</p>
<p class="choices">${deps.refreshUrl && html`<a class="button primary" href="${deps.refreshUrl}" target="_top">${text.again}</a>`}
<a class="button" href="${deps.to.href('/dashboard/login')}">${text.signIn}</a></p>
</div>`,
  };
  return pageResponse(dashboardPage(deps.to, undefined, page), deps, 401);
}

export function signedOutResponse(session: Session, deps: EntryDeps): ApiResponse {
  const text = MESSAGES.signedOut;
  const page: PageText = {
    title: text.title,
    body: html`<div class="card entry"><h1>${text.title}</h1><p class="muted">${text.lead}</p>
<p><a class="button" href="${deps.to.href('/dashboard/login')}">${MESSAGES.over.signIn}</a></p></div>`,
  };
  return pageResponse(dashboardPage(deps.to, undefined, page), deps, 200, {
    'set-cookie': deps.cookies.clear(session),
  });
}
