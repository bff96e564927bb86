import { AppError } from '../../../shared/runtime/errors.ts';
import { authorize } from '../http/caller.ts';
import type { ApiResponse } from '../http/response.ts';
import type { ApiRequest, Route } from '../http/route.ts';
import { defineForm, definePage } from '../pages/define-page.ts';
import { auditPages } from './audit/audit-page.ts';
import { bulkPages } from './bulk/bulk-pages.ts';
import { newJobPages } from './bulk/new-job-pages.ts';
import { uploadPage } from './bulk/upload-page.ts';
import {
  type EntryDeps,
  entryRoutes,
  languagePage,
  overResponse,
  sessionsOf,
  signedOutResponse,
} from './entry/entry-pages.ts';
import { eventPages } from './events/event-pages.ts';
import { exportPages } from './exports/export-pages.ts';
import { newExportPages } from './exports/new-export-page.ts';
import { readForm, requireStillActive, SESSION_OVER } from './frame/form.ts';
import type { LiveHub } from './frame/live-hub.ts';
import { noteVisitor, problemResponse } from './frame/problem-page.ts';
import { serveLive } from './frame/serve-live.ts';
import { isCsrfToken, type Session } from './frame/sessions.ts';
import { readUploadForm } from './frame/upload-form.ts';
import {
  createVisit,
  type DashboardPage,
  isLoadedByItself,
  seeOther,
  viewOf,
  type WholePage,
} from './frame/visit.ts';
import { withinLimits } from './frame/within-limits.ts';
import { keyPages } from './keys/key-pages.ts';
import { overviewPages } from './overview/overview-page.ts';
import { verifyPages } from './verify/verify-pages.ts';
import { webhookPages } from './webhooks/webhook-pages.ts';

export interface DashboardDeps extends EntryDeps {
  readonly live: LiveHub;
}

/** The pages for those who are in. */
export function dashboardPages(deps: Pick<DashboardDeps, 'frameAncestors'>): DashboardPage[] {
  // In the order in which they are tried: `new` is no ID.
  return [
    ...overviewPages(deps),
    ...newExportPages(deps),
    ...exportPages(deps),
    ...verifyPages(deps),
    ...webhookPages(deps),
    ...newJobPages(deps),
    uploadPage(deps),
    ...bulkPages(deps),
    ...eventPages(deps),
    ...keyPages(deps),
    ...auditPages(deps),
  ];
}

/** All routes of the dashboard: the ways in, and each page behind the check of its session. */
export function dashboardRoutes(deps: DashboardDeps): Route[] {
  const signOut: WholePage = {
    method: 'POST',
    path: '/dashboard/logout',
    needs: undefined,
    async handle(visit) {
      await deps.sessions.end(await sessionsOf(visit.request, deps));
      return signedOutResponse(visit, deps);
    },
  };
  return [
    ...entryRoutes(deps),
    ...[...dashboardPages(deps), languagePage(deps), signOut].map((page) => {
      const handle = (request: ApiRequest) => serve(request, page, deps);
      return page.method === 'GET' ? definePage(page.path, handle) : defineForm(page.path, handle);
    }),
  ];
}

async function serve(request: ApiRequest, page: DashboardPage, deps: DashboardDeps): Promise<ApiResponse> {
  const sent = await sessionsOf(request, deps);
  // One that is over does not hide another that is not.
  const session = sent.find(({ state }) => state === 'active') ?? sent[0];
  if (session?.state !== 'active') return refuse(request, page, session, deps);
  noteVisitor(request, session);
  const servedFor = { caller: session.id, accountId: session.accountId };
  try {
    return { ...(await serveSession(request, page, session, deps)), servedFor };
  } catch (error) {
    if (!(error instanceof AppError) || page.isLive === true) throw error;
    return { ...problemResponse(error, request, session, deps), servedFor };
  }
}

/** Somebody without a session signs in first, and then gets the page that they asked for. */
function refuse(
  request: ApiRequest,
  page: DashboardPage,
  session: Session | undefined,
  deps: DashboardDeps,
): ApiResponse {
  if (page.isLive === true) throw new AppError('unauthorized', SESSION_OVER);
  if (session !== undefined) return overResponse(request, session, deps);
  const next = page.method === 'GET' && request.path !== '/dashboard' ? request.path : undefined;
  return seeOther(`/dashboard/login${next === undefined ? '' : `?next=${encodeURIComponent(next)}`}`);
}

/** Within the limits of the account, as a request with a key. */
async function serveSession(
  request: ApiRequest,
  page: DashboardPage,
  session: Session,
  deps: DashboardDeps,
): Promise<ApiResponse> {
  const { limiter, sessions } = deps;
  const text = viewOf(request, session, deps.to).text.frame.problems;
  const { accountId, caller, ratePrint } = session;
  return withinLimits(limiter, accountId, ratePrint, async (run) => {
    if ('read' in page) {
      if (page.needs !== undefined) authorize(caller, page.needs);
      // It is read for several at once, which takes its own place among the requests that run.
      return serveLive(request, session, page, deps);
    }
    const readsFromMs = performance.now();
    await using upload =
      page.takesFile === true ? await readUploadForm(request, deps.publicOrigin(), text) : undefined;
    const limits = page.maxFormBytes === undefined ? {} : { maxBytes: page.maxFormBytes };
    const form =
      page.method === 'GET'
        ? new URLSearchParams()
        : (upload ?? (await readForm(request, deps.publicOrigin(), text, limits))).fields;
    if (page.method === 'POST' && !isCsrfToken(session, form.get('csrf'))) {
      throw new AppError('forbidden', text.csrf);
    }
    await requireStillActive(readsFromMs, async () => {
      const sent = await sessionsOf(request, deps);
      return sent.find(({ id }) => id === session.id)?.state;
    });
    if (page.needs !== undefined) authorize(caller, page.needs);
    const note = async () => {
      if (page.isLive !== true && !isLoadedByItself(request)) await sessions.note(session);
    };
    const handle = () => page.handle(createVisit(request, session, form, deps, upload?.file));
    if (upload === undefined) return run(() => note().then(handle));
    await run(note);
    return await handle();
  });
}
