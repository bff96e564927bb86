import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';

/** Links to the first page of a list and to the next one. */
export function pagesOf(
  path: string,
  older: string | null,
  filter: Readonly<Record<string, string>>,
  visit: Visit,
): Html | null {
  const text = visit.text.operator.list;
  const at = (query: Readonly<Record<string, string>>) => {
    const search = new URLSearchParams(query).toString();
    return visit.href(search === '' ? path : `${path}?${search}`);
  };
  const isLater = visit.query.has('cursor');
  if (!isLater && older === null) return null;
  return html`<p class="choices">${isLater ? html`<a class="button" href="${at(filter)}">${text.newest}</a>` : null}
${older && html`<a class="button" href="${at({ ...filter, cursor: older })}">${text.older}</a>`}</p>`;
}
