import { type Content, type Html, html } from '../pages/html.ts';
import {
  exampleOf,
  type Header,
  type Media,
  type Parameter,
  type PlacedOperation,
  type Response,
  resolve,
} from './document.ts';
import { codeTabs, jsonBlock } from './highlight.ts';
import { literalOf } from './literal.ts';
import { anchorLink, renderInline, renderMarkdown } from './markdown.ts';
import { membersHtml, parametersHtml, type Reference, typeHtml } from './schema-html.ts';
import { snippetsOf } from './snippets.ts';

const TONES: Readonly<Record<string, string>> = {
  GET: 'blue',
  POST: 'green',
  PUT: 'amber',
  PATCH: 'amber',
  DELETE: 'red',
};

export function methodBadge(method: string): Html {
  return html`<span class="badge" data-tone="${TONES[method] ?? ''}">${method}</span>`;
}

/** The operations of a page, each a link to its section. */
export function operationsList(operations: readonly PlacedOperation[]): Html {
  return html`<ul class="operations-list">${operations.map(
    ({ operationId, method, path, summary }) =>
      html`<li><a href="#${operationId}">${methodBadge(method)}<code>${path}</code><span class="muted">${summary}</span></a></li>`,
  )}</ul>`;
}

/** An operation: what it does and takes on the left, the example's request and response on the right. */
export function operationHtml(reference: Reference, operation: PlacedOperation): Html {
  const { operationId, method, path, summary, description = '' } = operation;
  return html`<section class="operation" aria-labelledby="${operationId}">
<div class="head"><h2 id="${operationId}">${summary}${anchorLink(operationId)}</h2>
<p class="request-line">${methodBadge(method)}<code>${path}</code>${accessHtml(reference, operation)}</p></div>
<div class="words">${description === '' ? null : renderMarkdown(description, reference.toHref).html}
${parameterGroups(reference, operation)}${bodyHtml(reference, operation)}${responsesHtml(reference, operation)}</div>
<div class="samples"><div>${codeTabs(snippetsOf(reference.document, operation), {
    group: operationId,
    label: `Example of ${operationId}`,
  })}${exampleResponse(reference, operation)}</div></div>
</section>
`;
}

/** What a caller needs for the operation: nothing, a scope of its key, or the operator's key. */
function accessHtml({ toHref }: Reference, { security }: PlacedOperation): Html | null {
  if (security === undefined) return null;
  if (security.length === 0) return html`<span class="muted">no key needed</span>`;
  const needs = security.flatMap((each) => Object.entries(each));
  return html`<span class="muted">${needs.map(([scheme, scopes]) => {
    const shown = scopes.length === 0 ? (scheme === 'operatorKey' ? 'operator’s key' : 'any key') : null;
    return html`<a href="${toHref('authentication.md#scopes')}">${shown}${scopes.map((scope) => html`<code>${scope}</code>`)}</a>`;
  })}</span>`;
}

const GROUPS: Readonly<Record<string, string>> = {
  path: 'Path parameters',
  query: 'Query parameters',
  header: 'Headers',
};

function parameterGroups(reference: Reference, { parameters = [] }: PlacedOperation): Content {
  const known = parameters.map((parameter) => resolve(reference.document, parameter));
  return Object.entries(GROUPS).map(([place, title]) => {
    const group = known.filter((parameter) => parameter.in === place);
    return group.length === 0 ? null : html`<h3>${title}</h3>${parametersHtml(reference, group)}`;
  });
}

function bodyHtml(reference: Reference, { requestBody }: PlacedOperation): Html | null {
  if (requestBody === undefined) return null;
  const { content, description } = resolve(reference.document, requestBody);
  return html`<h3>Body</h3>${description === undefined ? null : html`<p>${description}</p>`}${Object.entries(
    content,
  ).map(([type, { schema = {} }]) => {
    const members = membersHtml(reference, schema);
    return members ?? html`<p><code>${type}</code>: ${typeHtml(reference, schema)}</p>`;
  })}`;
}

function responsesHtml(reference: Reference, { responses }: PlacedOperation): Html {
  const known = Object.entries(responses).map(
    ([status, response]) => [status, resolve(reference.document, response)] as const,
  );
  const isProblem = ([, { content = {} }]: readonly [string, Response]) =>
    Object.keys(content).some((type) => type.includes('problem'));
  const problems = known.filter(isProblem);
  return html`<h3>Response</h3><ul class="statuses">${known
    .filter((each) => !isProblem(each))
    .map(([status, response]) => successHtml(reference, status, response))}</ul>
${
  problems.length === 0
    ? null
    : html`<h3>Problems</h3><ul class="statuses">${problems.map(([status, response]) =>
        problemHtml(reference, status, response),
      )}</ul>`
}`;
}

function successHtml(reference: Reference, status: string, response: Response): Html {
  const { description, content = {}, headers = {} } = response;
  const named = Object.entries(headers).map(([name, header]): Header & Pick<Parameter, 'name'> => ({
    ...resolve(reference.document, header),
    name,
  }));
  return html`<li>${statusBadge(status)} ${renderInline(description, reference.toHref)}
${Object.entries(content).map(([type, media]) => contentHtml(reference, type, media))}
${
  named.length === 0
    ? null
    : html`<div class="members"><details><summary>Headers: ${named.map(({ name }) => name).join(', ')}</summary>${parametersHtml(reference, named, false)}</details></div>`
}</li>`;
}

function contentHtml(reference: Reference, type: string, { schema }: Media): Html {
  const isNamed = schema?.$ref !== undefined;
  return html`<p class="muted"><code>${type}</code>${
    schema === undefined ? null : html`: ${typeHtml(reference, schema)}`
  }</p>${schema === undefined || isNamed ? null : membersHtml(reference, schema)}`;
}

/** The codes of a status, each with a link to its page and with its reason. Examples are named by their codes. */
function problemHtml(reference: Reference, status: string, response: Response): Html {
  const { document, toHref } = reference;
  const examples = Object.values(response.content ?? {}).flatMap((media) =>
    Object.entries(media.examples ?? {}),
  );
  return html`${examples.map(([code, example]) => {
    const { detail = '' } = resolve(document, example).value as { readonly detail?: string };
    return html`<li>${statusBadge(status)} <a href="${toHref(`docs:problems/${code}`)}"><code>${code}</code></a> ${renderInline(detail, toHref)}</li>`;
  })}`;
}

export function statusBadge(status: string): Html {
  const tone = { '2': 'green', '3': 'blue', '4': 'amber', '5': 'red' }[status[0] ?? ''] ?? '';
  return html`<span class="badge" data-tone="${tone}">${status}</span>`;
}

/** The examples of successful responses; with several statuses that of a created object is shown first. */
function exampleResponse(reference: Reference, { operationId, responses }: PlacedOperation): Html | null {
  const tabs = Object.entries(responses)
    .filter(([status]) => /^[23]/.test(status))
    .toSorted(([one], [other]) => Number(other === '200') * -1 + Number(one === '200'))
    .flatMap(([status, response]) => {
      const { content = {} } = resolve(reference.document, response);
      const example = exampleOf(reference.document, content['application/json']);
      const label = `Response ${status}`;
      return example === undefined
        ? []
        : [{ id: status, label, language: 'json', code: literalOf(example), example }];
    });
  const [first] = tabs;
  if (first === undefined) return null;
  return tabs.length === 1
    ? jsonBlock(first.example, first.label)
    : codeTabs(tabs, { group: `${operationId}-response`, label: `Response of ${operationId}` });
}
