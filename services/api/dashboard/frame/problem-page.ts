import type { AppError, FieldError } from '../../../../shared/runtime/errors.ts';
import { PROBLEMS, type ProblemPage } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest } from '../../http/route.ts';
import { type Html, html } from '../../pages/html.ts';
import { acceptedLanguage, languageOf } from '../messages/messages.ts';
import { inLanguage } from './fault-words.ts';
import { dashboardPage, type View } from './layout.ts';
import { pageResponse, type VisitDeps, viewOf } from './visit.ts';
import { homeOf, isOperatorPath, OPERATOR_HOME, type Visitor } from './visitor.ts';

/** The visitor of a request, once the session is found, so that a later error page has their language and theme. */
const VISITORS = new WeakMap<object, Visitor>();

export function noteVisitor({ incoming }: Pick<ApiRequest, 'incoming'>, visitor: Visitor): void {
  VISITORS.set(incoming, visitor);
}

/** An error page for a visitor with a session. */
export function problemResponse(
  error: AppError,
  request: ApiRequest,
  session: Visitor,
  deps: Pick<VisitDeps, 'to' | 'frameAncestors'>,
): ApiResponse {
  const view = { ...viewOf(request, session, deps.to), at: undefined };
  const { requestId } = request;
  const { message: detail, errors } = inLanguage(error, view.text);
  const body = problemBody(view, { detail, errors, requestId }, homeOf(session));
  const page = { title: view.text.frame.problems.title, body };
  const { retryAfterSeconds } = error;
  return pageResponse(dashboardPage(view, session, page), deps, PROBLEMS[error.code].status, {
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  });
}

/** Error pages for requests that reached no page of the dashboard. */
export function createProblemPage({
  to,
  frameAncestors,
}: Pick<VisitDeps, 'to' | 'frameAncestors'>): ProblemPage {
  return (problem, { path, header, incoming }) => {
    const isPage = /^\/dashboard(?:\/|$)/.test(path) && /\btext\/html\b/.test(header('accept') ?? '');
    if (!isPage) return undefined;
    const session = incoming && VISITORS.get(incoming);
    const language =
      session?.locale == null ? acceptedLanguage(header('accept-language')) : languageOf(session.locale);
    const view: View = { ...to, at: undefined, ...language };
    const { title, codes } = view.text.frame.problems;
    const words: Readonly<Record<string, string>> = codes;
    const detail = words[problem.code] ?? problem.detail;
    const home = isOperatorPath(path) ? OPERATOR_HOME : '/dashboard';
    const body = problemBody(view, { detail, errors: [], requestId: problem.request_id }, home);
    const ancestors = isOperatorPath(path) ? [] : frameAncestors;
    return pageResponse(
      dashboardPage(view, session, { title, body }),
      { frameAncestors: ancestors },
      problem.status,
    );
  };
}

interface Told {
  readonly detail: string;
  readonly errors: readonly FieldError[];
  readonly requestId: string;
}

function problemBody(view: View, { detail, errors, requestId }: Told, home: string): Html {
  const text = view.text.frame.problems;
  return html`<h1>${text.title}</h1>
<p class="lead">${detail}</p>
${errors.length < 2 ? null : html`<ul>${errors.map(({ pointer, detail: fault }) => html`<li><code>${pointer}</code> ${fault}</li>`)}</ul>`}
<p><a class="button" href="${view.href(home)}">${text.back}</a></p>
<p class="muted">${text.requestId}: <code>${requestId}</code></p>`;
}
