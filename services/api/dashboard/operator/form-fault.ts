import { AppError } from '../../../../shared/runtime/errors.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import { dashboardPage, type PageText } from '../frame/layout.ts';
import { pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';

/**
 * Performs a form's request. If the API refuses it, the form is shown again with the error and the typed values.
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
