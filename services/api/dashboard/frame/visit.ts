import { AppError } from '../../../../shared/runtime/errors.ts';
import type { CallOperation, OperationCall } from '../../http/call-operation.ts';
import { hasScope, type Scope } from '../../http/caller.ts';
import type { ApiResponse } from '../../http/response.ts';
import type { ApiRequest, RawBody } from '../../http/route.ts';
import type { Html } from '../../pages/html.ts';
import { pageHeaders } from '../../pages/page-response.ts';
import { acceptedLanguage, languageOf } from '../messages/messages.ts';
import { inLanguage } from './fault-words.ts';
import { createFormats, type Formats } from './formats.ts';
import type { Hrefs, View } from './layout.ts';
import type { LiveReading } from './live-channel.ts';
import type { Visitor } from './visitor.ts';

/** A request with a session. */
export interface Visit extends View {
  readonly request: ApiRequest;
  readonly session: Visitor;
  readonly formats: Formats;
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
  /** The file of a form with an upload; undefined when none was chosen. */
  readonly file: RawBody | undefined;
  may(scope: Scope): boolean;
  /**
   * Calls an API operation with the rights of the session.
   *
   * @throws AppError the operation's refusal, in the page's language
   */
  ask<Body>(operationId: string, call?: OperationCall): Promise<Body>;
  send(operationId: string, call?: OperationCall): Promise<ApiResponse>;
}

interface PageRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** The scope that the session needs. Undefined: none. Operations that the page calls check their own. */
  readonly needs: Scope | undefined;
}

/** A page of the dashboard, or the target of one of its forms. */
export interface WholePage extends PageRoute {
  /** The page's module requests it by itself: such requests don't keep the session alive, and problems are JSON. */
  readonly isLive?: boolean;
  /** Size limit, for a larger form than usual. */
  readonly maxFormBytes?: number;
  /** Its form has a file, which is read while it is received, under a limit of its own. */
  readonly takesFile?: boolean;
  handle(visit: Visit): Promise<ApiResponse>;
}

/** The live parts of a page, requested by its module. */
export interface LivePart extends PageRoute {
  readonly isLive: true;
  read(visit: Visit): Promise<LiveReading>;
}

export type DashboardPage = WholePage | LivePart;

export interface VisitDeps {
  readonly to: Hrefs;
  readonly callOperation: CallOperation;
  readonly frameAncestors: readonly string[];
  readonly now: () => number;
}

/** A session of a portal link has a locale of its own. Others use the browser's. */
export function viewOf(request: ApiRequest, session: Pick<Visitor, 'locale'> | undefined, to: Hrefs): View {
  const locale = session?.locale;
  const { method, path, querystring } = request;
  return {
    ...to,
    at: method === 'GET' ? `${path}${querystring === '' ? '' : `?${querystring}`}` : undefined,
    ...(locale == null ? acceptedLanguage(request.header('accept-language')) : languageOf(locale)),
  };
}

/** Set when the page's module has reloaded it after a change of its structure. The visitor may be absent. */
const LOADED_BY_ITSELF = 'auto';

export function isLoadedByItself({ method, querystring }: ApiRequest): boolean {
  return method === 'GET' && new URLSearchParams(querystring).has(LOADED_BY_ITSELF);
}

function queryOf({ querystring }: ApiRequest): URLSearchParams {
  const query = new URLSearchParams(querystring);
  query.delete(LOADED_BY_ITSELF);
  return query;
}

export function createVisit(
  request: ApiRequest,
  session: Visitor,
  form: URLSearchParams,
  { to, callOperation, now }: VisitDeps,
  file?: RawBody,
): Visit {
  const { caller } = session;
  const view = viewOf(request, session, to);
  const send: Visit['send'] = async (operationId, call) => {
    try {
      return await callOperation(operationId, request, caller, call);
    } catch (error) {
      throw error instanceof AppError ? inLanguage(error, view.text) : error;
    }
  };
  return {
    ...view,
    request,
    session,
    form,
    file,
    formats: createFormats(view, now()),
    query: queryOf(request),
    may: (scope) => hasScope(caller, scope),
    send,
    async ask(operationId, call) {
      const { body } = await send(operationId, call);
      return JSON.parse(String(body));
    },
  };
}

/** The response of a page. Never cached, because it belongs to this session. */
export function pageResponse(
  page: Html,
  { frameAncestors }: Pick<VisitDeps, 'frameAncestors'>,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse {
  return {
    status,
    headers: {
      ...pageHeaders({
        hasForms: true,
        connects: true,
        frameAncestors: frameAncestors.length === 0 ? "'none'" : frameAncestors.join(' '),
      }),
      'cache-control': 'no-store',
      ...headers,
    },
    body: `<!doctype html>\n${page.text}`,
  };
}

/** The response to a form: a redirect to a page, so that a reload does not send the form again. */
export function seeOther(location: string): ApiResponse {
  return { status: 303, headers: { location, 'cache-control': 'no-store' }, body: undefined };
}
