import { AppError } from '../../../../shared/runtime/errors.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import { type Html, html } from '../../pages/html.ts';
import { dashboardPage, type PageText } from '../frame/layout.ts';
import { pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';

/**
 * What the API has refused a form with, in its words; nothing without an error.
 *
 * @param labels names of fields, by what the API's pointer to them ends in
 */
export function faultHtml(
  error: AppError | undefined,
  labels: Readonly<Record<string, string>>,
  visit: Visit,
): Html | null {
  if (error === undefined) return null;
  const { errors, message } = error;
  return html`<div class="fault" role="alert"><p><strong>${visit.text.operator.save.invalid}</strong></p>
${errors.length === 0 ? html`<p lang="en">${message}</p>` : html`<ul lang="en">${errors.map(({ pointer, detail }) => html`<li><strong>${labels[pointer.split('/').at(-1) ?? ''] ?? pointer}</strong>: ${detail}</li>`)}</ul>`}</div>`;
}

/**
 * Does what a form asks for. What the API refuses is shown at the form, which keeps what was typed.
 *
 * @param show makes the page of the form, with the error that it got
 */
export async function submitted(
  visit: Visit,
  deps: Pick<VisitDeps, 'frameAncestors'>,
  send: () => Promise<ApiResponse>,
  show: (error: AppError) => PageText | Promise<PageText>,
): Promise<ApiResponse> {
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const page = await show(error);
    return pageResponse(dashboardPage(visit, visit.session, page), deps, PROBLEMS[error.code].status);
  }
}
