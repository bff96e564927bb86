import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';

/**
 * Links to the first page of a list and to the next one.
 *
 * @param words of a list whose first page has not the newest
 */
export function pagesOf(
  path: string,
  following: string | null,
  filter: Readonly<Record<string, string>>,
  visit: Visit,
  words: { readonly first: string; readonly next: string } = {
    first: visit.text.operator.list.newest,
    next: visit.text.operator.list.older,
  },
): Html | null {
  const at = (query: Readonly<Record<string, string>>) => {
    const search = new URLSearchParams(query).toString();
    return visit.href(search === '' ? path : `${path}?${search}`);
  };
  const isLater = visit.query.has('cursor');
  if (!isLater && following === null) return null;
  return html`<p class="choices">${isLater ? html`<a class="button" href="${at(filter)}">${words.first}</a>` : null}
${following && html`<a class="button" href="${at({ ...filter, cursor: following })}">${words.next}</a>`}</p>`;
}
