import { describe, PROBLEMS, type ProblemCode, titleOf } from '../http/problem.ts';
import { RESPONSE_HEADERS } from '../http/response-headers.ts';
import { type Html, html } from '../pages/html.ts';
import { operationsOf, resolve } from './document.ts';
import { jsonBlock } from './highlight.ts';
import { breakable, renderInline, renderMarkdown, table } from './markdown.ts';
import { methodBadge, statusBadge } from './operation-html.ts';
import type { PageText } from './page.ts';
import { PROBLEM_TEXTS } from './problem-texts.ts';
import type { Reference } from './schema-html.ts';

export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** The list of codes, by status. */
export function problemsPage({ toHref }: Reference): PageText {
  const rows = PROBLEM_CODES.map(
    (
      code,
    ) => html`<tr><td><a href="${toHref(`docs:problems/${code}`)}"><code>${breakable(code)}</code></a></td>
<td>${statusBadge(String(PROBLEMS[code].status))}</td><td>${renderInline(PROBLEMS[code].meaning, toHref)}</td></tr>
`,
  );
  return {
    name: 'problems',
    title: 'Problem codes',
    description: 'Every code of an error, what it means and what to do.',
    headings: [],
    body: html`<h1>Problem codes</h1>
<p class="lead">An error is a problem document. Its <code>code</code> is for programs, and its <code>type</code> is the
address of the code’s page here. <a href="${toHref('conventions.md#errors')}">How errors work</a>.</p>
${table(html`<th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th>`, rows)}`,
  };
}

/** One code: what it means, why it happens, what to do, and which operations can return it. */
export function problemPage(reference: Reference, code: ProblemCode): PageText {
  const { toHref } = reference;
  const { status, meaning } = PROBLEMS[code];
  const { causes, remedies, example } = PROBLEM_TEXTS[code];
  const { detail, ...extra } = example;
  const document = { ...describe(code, detail, RESPONSE_HEADERS['X-Request-Id'].example, extra) };
  const items = (texts: readonly string[]) =>
    texts.map((text) => html`<li>${renderInline(text, toHref)}</li>`);
  return {
    name: `problems/${code}`,
    title: `${titleOf(code)} (${code})`,
    description: `What the problem code ${code} means, why it happens, and what to do.`,
    headings: [],
    body: html`<p class="muted"><a href="${toHref('docs:problems')}">Problem codes</a></p>
<h1>${titleOf(code)}</h1>
<p class="request-line">${statusBadge(String(status))} <code>${code}</code></p>
<div class="lead">${renderMarkdown(meaning, toHref).html}</div>
<h2 id="why-it-happens">Why it happens</h2>
<ul>${items(causes)}</ul>
<h2 id="what-to-do">What to do</h2>
<ol>${items(remedies)}</ol>
<h2 id="example">Example</h2>
${jsonBlock(document, `${status} application/problem+json`)}
${operationsWith(reference, code)}`,
  };
}

function operationsWith({ document, toHref }: Reference, code: ProblemCode): Html | null {
  const operations = operationsOf(document).filter(({ responses }) =>
    Object.values(responses).some((response) =>
      Object.values(resolve(document, response).content ?? {}).some(({ examples = {} }) => code in examples),
    ),
  );
  if (operations.length === 0) return null;
  return html`<h2 id="operations">Operations that can return it</h2>
<ul class="operations-list">${operations.map(
    ({ operationId, method, path, summary, tags = [] }) =>
      html`<li><a href="${toHref(`docs:api/${tags[0] ?? ''}#${operationId}`)}">${methodBadge(method)}<code>${path}</code><span class="muted">${summary}</span></a></li>`,
  )}</ul>`;
}
