import { randomUUID } from 'node:crypto';
import { DISABLED_REASONS } from '../../../../shared/domain/disabled-reasons.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import { type Content, type Html, html } from '../../pages/html.ts';
import { csrfField, dashboardPage } from '../frame/layout.ts';
import { statusBadge } from '../frame/parts.ts';
import { pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import type { Messages } from '../messages/messages.ts';
import type { Stats, Webhook } from './endpoint-facts.ts';
import { FAILURE_SECTIONS, failureOf } from './explain-attempt.ts';

export const SECTION = '/dashboard/webhooks';
export const STYLES = 'webhooks.css';

export type PageDeps = Pick<VisitDeps, 'frameAncestors'>;

/** The message of a page after a change. */
type Done = keyof Messages['webhooks']['done'];

export function endpointPath(id: string, rest = ''): string {
  return `${SECTION}/${encodeURIComponent(id)}${rest}`;
}

/** The page to show after a form's change. */
export function withDone(path: string, done: Done): string {
  return `${path}${path.includes('?') ? '&' : '?'}done=${done}`;
}

/** The endpoint's name, or the beginning of its URL. */
export function nameOf({ description, url }: Pick<Webhook, 'description' | 'url'>): string {
  return description === null || description.trim() === '' ? url : description;
}

/** A page without updates. */
export function stillPage(
  visit: Visit,
  deps: PageDeps,
  title: string,
  body: Content,
  error?: AppError,
): ApiResponse {
  const page = { title, section: SECTION, styles: STYLES, body };
  const { retryAfterSeconds } = error ?? {};
  return pageResponse(
    dashboardPage(visit, visit.session, page),
    deps,
    error === undefined ? 200 : PROBLEMS[error.code].status,
    retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) },
  );
}

/** Says which change was made, if the page's address names one. */
export function doneNote({ query, text }: Visit): Html | null {
  const done = query.get('done') ?? '';
  const texts: Readonly<Record<string, string>> = text.webhooks.done;
  if (!Object.hasOwn(texts, done)) return null;
  return html`<p class="note" role="status">${texts[done]}</p>`;
}

/** A button that sends a form at once. */
export function actionForm(visit: Visit, action: string, title: string, fields: Content = null): Html {
  return html`<form method="post" action="${visit.href(action)}">${csrfField(visit.session)}${fields}<button>${title}</button></form>`;
}

/** Why an attempt failed, in words, with what helps. */
export function explanation(
  attempt: { readonly status?: number | null | undefined; readonly outcome: string },
  visit: Visit,
): Html | null {
  const failure = failureOf(attempt);
  if (failure === undefined) return null;
  const { [failure]: text, docs } = visit.text.webhooks.failures;
  // No site may frame the guide. So a dashboard within a frame opens it in a new tab.
  return html`<p>${text.text} ${text.help} <a href="${visit.href(`/docs/failures#${FAILURE_SECTIONS[failure]}`)}" target="_blank" rel="noopener">${docs}<span class="hidden">: ${text.title}</span></a></p>`;
}

/** `Too slow`, or `Status 503 · Not available`. */
export function outcomeWords(
  { status, outcome }: { readonly status?: number | null | undefined; readonly outcome: string },
  { text }: Visit,
): string {
  const { attempts, failures } = text.webhooks;
  const failure = failureOf({ status, outcome });
  const title = failure === undefined ? attempts.delivered : failures[failure].title;
  return status == null ? title : `${attempts.withStatus(String(status))} · ${title}`;
}

/** A badge with the same words. */
export function outcomeBadge(
  attempt: { readonly status?: number | null | undefined; readonly outcome: string },
  visit: Visit,
): Html {
  const tone = failureOf(attempt) === undefined ? 'green' : attempt.outcome === 'aborted' ? 'amber' : 'red';
  return html`<span class="badge" data-tone="${tone}">${outcomeWords(attempt, visit)}</span>`;
}

/** Its status; an active one may fail. */
export function healthBadge(
  { status, failing_since: since }: Pick<Webhook, 'status' | 'failing_since'>,
  visit: Visit,
): Html {
  if (status !== 'active' || since === null) return statusBadge(status, visit);
  return html`<span class="badge" data-tone="amber">${visit.text.webhooks.list.failing}</span>`;
}

/** Why an endpoint was disabled, in the language of the page. Of a reason that is unknown here, the words of the API. */
export function disabledWords(reason: string, { text }: Visit): string {
  const [known] = Object.entries(DISABLED_REASONS).find(([, words]) => words === reason) ?? [];
  return known === undefined
    ? reason
    : text.webhooks.details.disabledBy[known as keyof typeof DISABLED_REASONS];
}

/** How far an endpoint is behind. `age` is empty where nothing waits. */
export function backlogWords(
  { events, is_exact: isExact, seconds }: Stats['behind_by'],
  { text, formats }: Visit,
): { readonly count: string; readonly age: string } {
  const words = text.webhooks.details;
  return {
    count:
      events === 0 && isExact
        ? words.behindNothing
        : words.behindEvents(formats.number(events), isExact, events === 1 && isExact),
    age: seconds === null || seconds === 0 ? '' : words.oldest(formats.duration(seconds)),
  };
}

/** Whether an ID is that of an event of the feed. A test is none. */
export const isEvent = (id: string): boolean => id.startsWith('evt_');

/** The ID of what was sent, and the way to its page for a session that may read events. */
export function eventLink(id: string, visit: Visit): Html {
  return isEvent(id) && visit.may('events:read')
    ? html`<a class="id" href="${visit.href(`/dashboard/events/${id}`)}">${id}</a>`
    : html`<span class="id">${id}</span>`;
}

/** The key of a creating form, so that sent twice it creates once. */
export function requestKey({ form }: Visit): string {
  return readIdempotencyKey(form.get('request') ?? undefined) ?? randomUUID();
}

/** The time of a field, which is in UTC, as the API takes it. What is no such time stays, and the API says so. */
export function instantOf(value: string | null): string | undefined {
  const text = (value ?? '').trim();
  if (text === '') return undefined;
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/.test(text)
    ? `${text}${text.length === 16 ? ':00' : ''}Z`
    : text;
}

/** The value of such a field. */
export function fieldTime(at: string | number): string {
  return new Date(at).toISOString().slice(0, 16);
}

/** Runs a change, and shows the page again with what was refused. */
export async function orAgain(
  change: () => Promise<ApiResponse>,
  again: (error: AppError) => Promise<ApiResponse>,
): Promise<ApiResponse> {
  try {
    return await change();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return again(error);
  }
}
