import { AppError } from '../../../../shared/runtime/errors.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import type { Visit } from './visit.ts';

type Fields = Readonly<Record<string, string | null | undefined>>;

/** The address of a page with these parameters; those without a value are left out. */
export function searchHref({ href }: Pick<Visit, 'href'>, path: string, fields: Fields = {}): string {
  const given = Object.entries(fields).flatMap(([name, value]): [string, string][] =>
    value ? [[name, value]] : [],
  );
  const search = new URLSearchParams(given).toString();
  return href(search === '' ? path : `${path}?${search}`);
}

/** The parameters of these names that the form was sent with; fields that were left empty are not there. */
export function searchFields<Name extends string>(
  { query }: Pick<Visit, 'query'>,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const given = names.flatMap((name) => {
    const value = query.get(name)?.trim();
    return value ? [[name, value] as const] : [];
  });
  return Object.fromEntries(given) as Partial<Record<Name, string>>;
}

const LOCAL_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$/;

/** What a field for a time in UTC sends, as the API takes it. What is no such time stays, for the API to say so. */
export function instantOf(text: string | undefined): string | undefined {
  if (text === undefined || !LOCAL_TIME.test(text)) return text;
  return `${text.length === 'YYYY-MM-DDThh:mm'.length ? `${text}:00` : text}Z`;
}

/** Fields for a range of time in UTC, which take their room only when somebody wants them. */
export function timeRange(
  { title, from, to }: { readonly title: string; readonly from: string; readonly to: string },
  given: { readonly from?: string | undefined; readonly to?: string | undefined },
): Html {
  const isSet = given.from !== undefined || given.to !== undefined;
  return html`<details class="range"${flag('open', isSet)}><summary>${title}</summary>
<div>${timeField('from', from, given.from)}${timeField('to', to, given.to)}</div></details>`;
}

function timeField(name: string, label: string, value: string | undefined): Html {
  return html`<div><label for="${name}">${label}</label><input type="datetime-local" id="${name}" name="${name}" step="1" value="${value}"></div>`;
}

/** What the API refuses a search or a form with, to be said there. @throws what is no fault of what was typed */
export function refusalOf(error: unknown): AppError {
  const isTyped =
    error instanceof AppError &&
    (error.code === 'invalid' || error.code === 'conflict' || error.code === 'forbidden');
  if (!isTyped) throw error;
  return error;
}

/** Below a list: back to its beginning, and on to its next page. `also`: what stands beside them. */
export function listLinks(
  visit: Pick<Visit, 'href' | 'query'>,
  list: {
    readonly path: string;
    /** What the list is filtered by. */
    readonly fields?: Fields;
    readonly next: string | null;
    readonly words: { readonly first: string; readonly next: string };
  },
  also: Content = null,
): Content {
  const { path, fields = {}, next, words } = list;
  const isLater = visit.query.has('cursor');
  if (!isLater && next === null && also === null) return null;
  return html`<p class="choices">${isLater ? html`<a class="button" href="${searchHref(visit, path, fields)}">${words.first}</a>` : null}
${next && html`<a class="button" href="${searchHref(visit, path, { ...fields, cursor: next })}" rel="next">${words.next}</a>`}
${also}</p>`;
}
