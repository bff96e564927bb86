import { AppError } from '../../../../shared/runtime/errors.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import type { Visit } from './visit.ts';

type Fields = Readonly<Record<string, string | null | undefined>>;

/** The URL of a page with these parameters, without empty ones. */
export function searchHref({ href }: Pick<Visit, 'href'>, path: string, fields: Fields = {}): string {
  const given = Object.entries(fields).flatMap(([name, value]): [string, string][] =>
    value ? [[name, value]] : [],
  );
  const search = new URLSearchParams(given).toString();
  return href(search === '' ? path : `${path}?${search}`);
}

/** The submitted parameters with these names, without empty ones. */
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

/** A UTC time field's value in the API's form. Any other text stays as it is, and the API refuses it. */
export function instantOf(text: string | undefined): string | undefined {
  if (text === undefined || !LOCAL_TIME.test(text)) return text;
  return `${text.length === 'YYYY-MM-DDThh:mm'.length ? `${text}:00` : text}Z`;
}

/** Fields for a UTC time range, which are shown on demand. */
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

/** The API's refusal of a search or form, to be shown there. @throws errors that the input did not cause */
export function refusalOf(error: unknown): AppError {
  const isTyped =
    error instanceof AppError &&
    (error.code === 'invalid' || error.code === 'conflict' || error.code === 'forbidden');
  if (!isTyped) throw error;
  return error;
}

/** Links below a list: to its start and to its next page. `also`: further content. */
export function listLinks(
  visit: Pick<Visit, 'href' | 'query'>,
  list: {
    readonly path: string;
    /** The parameters that filter the list. */
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
