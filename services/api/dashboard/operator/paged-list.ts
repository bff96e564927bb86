import { type Html, html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { listLinks } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';

const PAGE_SIZE = 50;

/** A page that lists what an operation returns, and can do so page by page. */
export interface PagedList<Item> {
  readonly path: string;
  readonly operationId: string;
  title(visit: Visit): string;
  /** The content of the page, without the links to other pages. */
  body(items: readonly Item[], visit: Visit): Html;
  /** Content below those links. */
  end?(visit: Visit): Html;
  /** The texts of those links, if the first page does not have the newest entries. */
  words?(visit: Visit): { readonly first: string; readonly next: string };
}

export function pagedList<Item>(
  { path, operationId, title, body, end, words }: PagedList<Item>,
  deps: Pick<VisitDeps, 'frameAncestors'>,
): DashboardPage {
  return {
    method: 'GET',
    path,
    needs: undefined,
    async handle(visit) {
      const cursor = visit.query.get('cursor');
      const { data, next_cursor: next } = await visit.ask<{ data: Item[]; next_cursor: string | null }>(
        operationId,
        { query: { limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) } },
      );
      const content = html`${body(data, visit)}
${listLinks(visit, { path, next, words: words?.(visit) ?? visit.text.operator.list.pages })}
${end?.(visit)}`;
      const page = { title: title(visit), section: path, styles: 'operator.css', body: content };
      return pageResponse(dashboardPage(visit, visit.session, page), deps);
    },
  };
}
