import { AppError } from '../../../../shared/runtime/errors.ts';
import { OPERATOR_LIFETIME_SECONDS } from '../../admin/operator-session-store.ts';
import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest, Route } from '../../http/route.ts';
import { defineForm, definePage } from '../../pages/define-page.ts';
import { html } from '../../pages/html.ts';
import { type OwnForm, readForm, requireStillActive, SESSION_OVER } from '../frame/form.ts';
import { languageChoice, ownPlace } from '../frame/language-choice.ts';
import { dashboardPage, type PageText } from '../frame/layout.ts';
import type { LiveHub } from '../frame/live-hub.ts';
import { noteVisitor, problemResponse } from '../frame/problem-page.ts';
import { serveLive } from '../frame/serve-live.ts';
import { isCsrfToken } from '../frame/sessions.ts';
import {
  createVisit,
  type DashboardPage,
  isLoadedByItself,
  pageResponse,
  seeOther,
  type VisitDeps,
  viewOf,
} from '../frame/visit.ts';
import { isOperatorPath, OPERATOR_HOME } from '../frame/visitor.ts';
import { accountEditPages } from './account-edit-pages.ts';
import { accountListPages } from './account-list.ts';
import { accountPages } from './account-page.ts';
import { auditPages } from './audit-page.ts';
import { consumersPages } from './consumers-page.ts';
import { deadLetterPages } from './dead-letters-page.ts';
import { failingEndpointPages } from './failing-endpoints-page.ts';
import type { OperatorCookie } from './operator-cookie.ts';
import type { OperatorSession, OperatorSessions } from './operator-sessions.ts';
import { portalLinkPages } from './portal-link-pages.ts';
import { runbookPages } from './runbook-pages.ts';
import { sessionPages } from './sessions-page.ts';
import { statusPages } from './status-page.ts';

export interface OperatorDeps extends Omit<VisitDeps, 'frameAncestors'> {
  readonly live: LiveHub;
  readonly operatorSessions: OperatorSessions;
  readonly operatorCookie: OperatorCookie;
  /** Undefined where `PUBLIC_URL` is not set. */
  readonly publicOrigin: () => string | undefined;
}

/** No site may frame these pages, whatever the setting says. */
const UNFRAMED = { frameAncestors: [] } as const;

/** The pages for the operator, who has all rights and no account. */
export function operatorPages(): DashboardPage[] {
  // Tried in this order, because `new` must not be taken for an ID.
  return [
    statusPages,
    consumersPages,
    accountListPages,
    accountEditPages,
    accountPages,
    portalLinkPages,
    failingEndpointPages,
    deadLetterPages,
    auditPages,
    sessionPages,
    runbookPages,
  ].flatMap((pages) => pages(UNFRAMED));
}

/** Each of the operator's pages behind the check of its session. */
export function operatorRoutes(deps: OperatorDeps): Route[] {
  const language = languageChoice(`${OPERATOR_HOME}/language`, (session, locale) =>
    deps.operatorSessions.setLocale(session, locale),
  );
  return [...operatorPages(), language, signOutOf(deps)].map((page) => {
    const handle = (request: ApiRequest) => serve(request, page, deps);
    return page.method === 'GET' ? definePage(page.path, handle) : defineForm(page.path, handle);
  });
}

/** Opens a session after a form with the operator's key. */
export async function enterAsOperator(
  request: ApiRequest,
  { fields, isSecure }: OwnForm,
  { operatorSessions, operatorCookie }: OperatorDeps,
): Promise<ApiResponse> {
  const replaced = await operatorSessions.find(operatorCookie.read(request.header('cookie')));
  const token = await operatorSessions.open(replaced);
  const next = ownPlace(fields.get('next'));
  return {
    ...seeOther(isOperatorPath(next) ? next : OPERATOR_HOME),
    cookies: [operatorCookie.set(token, { isSecure, maxAgeSeconds: OPERATOR_LIFETIME_SECONDS })],
  };
}

async function serve(request: ApiRequest, page: DashboardPage, deps: OperatorDeps): Promise<ApiResponse> {
  const session = await sessionOf(request, deps);
  if (session?.state !== 'active') return refuse(request, page, session, deps);
  noteVisitor(request, session);
  const servedFor = { caller: session.id };
  try {
    return { ...(await serveSession(request, page, session, deps)), servedFor };
  } catch (error) {
    if (!(error instanceof AppError) || page.isLive === true) throw error;
    return { ...problemResponse(error, request, session, { ...deps, ...UNFRAMED }), servedFor };
  }
}

async function serveSession(
  request: ApiRequest,
  page: DashboardPage,
  session: OperatorSession,
  deps: OperatorDeps,
): Promise<ApiResponse> {
  const isForm = page.method === 'POST';
  const text = viewOf(request, session, deps.to).text.frame.problems;
  const readsFromMs = performance.now();
  const form = isForm ? (await readForm(request, deps.publicOrigin(), text)).fields : new URLSearchParams();
  if (isForm && !isCsrfToken(session, form.get('csrf'))) throw new AppError('forbidden', text.csrf);
  await requireStillActive(readsFromMs, async () => (await sessionOf(request, deps))?.state);
  if ('read' in page) return serveLive(request, session, page, { ...deps, ...UNFRAMED });
  if (page.isLive !== true && !isLoadedByItself(request)) await deps.operatorSessions.note(session);
  return page.handle(createVisit(request, session, form, { ...deps, ...UNFRAMED }));
}

function sessionOf(
  request: ApiRequest,
  { operatorSessions, operatorCookie }: Pick<OperatorDeps, 'operatorSessions' | 'operatorCookie'>,
): Promise<OperatorSession | undefined> {
  return operatorSessions.find(operatorCookie.read(request.header('cookie')));
}

/** Sends a visitor without a session to sign in, and then to the page that was asked for. */
function refuse(
  request: ApiRequest,
  page: DashboardPage,
  session: OperatorSession | undefined,
  deps: OperatorDeps,
): ApiResponse {
  if (page.isLive === true) throw new AppError('unauthorized', SESSION_OVER);
  if (session !== undefined)
    return goneResponse(request, session.state === 'revoked' ? 'revoked' : 'expired', deps);
  if (page.method === 'GET' && request.header('sec-fetch-site') === 'cross-site') {
    return reloadResponse(request, deps);
  }
  const next = page.method === 'GET' ? request.path : OPERATOR_HOME;
  return seeOther(`/dashboard/login?next=${encodeURIComponent(next)}`);
}

/**
 * Answers a link on another site, such as in an alert. The browser left out the session's cookie, and sends it with the
 * next request, which this page makes.
 */
function reloadResponse(request: ApiRequest, deps: OperatorDeps): ApiResponse {
  const view = viewOf(request, undefined, deps.to);
  const text = view.text.operator.entry;
  const page: PageText = {
    title: text.reloads,
    body: html`<div class="card entry"><h1>${text.reloads}</h1>
<p><a class="button" href="${view.href(request.path)}">${text.goOn}</a></p></div>`,
  };
  return pageResponse(dashboardPage(view, undefined, page), UNFRAMED, 200, { refresh: '0' });
}

function goneResponse(
  request: ApiRequest,
  why: 'revoked' | 'expired' | 'signedOut',
  deps: OperatorDeps,
): ApiResponse {
  const view = viewOf(request, undefined, deps.to);
  const text = view.text.operator.entry;
  const title = why === 'signedOut' ? view.text.entry.signedOut.title : view.text.entry.over.title;
  const page: PageText = {
    title,
    body: html`<div class="card entry"><h1>${title}</h1>
<p class="muted">${text[why]}</p>
<p><a class="button" href="${view.href(`/dashboard/login?next=${encodeURIComponent(OPERATOR_HOME)}`)}">${view.text.entry.over.signIn}</a></p></div>`,
  };
  return {
    ...pageResponse(dashboardPage(view, undefined, page), UNFRAMED, why === 'signedOut' ? 200 : 401),
    cookies: deps.operatorCookie.clear(request.header('cookie')),
  };
}

function signOutOf(deps: OperatorDeps): DashboardPage {
  return {
    method: 'POST',
    path: `${OPERATOR_HOME}/logout`,
    needs: undefined,
    async handle({ request }) {
      const session = await sessionOf(request, deps);
      if (session !== undefined) await deps.operatorSessions.end(session);
      return goneResponse(request, 'signedOut', deps);
    },
  };
}
