import { type Html, html } from '../pages/html.ts';
import { exampleOf, operationsOf, type PlacedOperation, resolve } from './document.ts';
import { jsonBlock } from './highlight.ts';
import { anchorLink, type Rendered, renderInline, renderMarkdown } from './markdown.ts';
import { operationHtml, operationsList } from './operation-html.ts';
import type { MenuEntry, PageText } from './page.ts';
import { membersHtml, type Reference, typeHtml } from './schema-html.ts';

/** The titles of the sections of the API, in the order of the menu. */
const TASKS: Readonly<Record<string, string>> = {
  exports: 'Exports',
  feed: 'Feed',
  webhooks: 'Webhooks',
  bulk: 'Bulk jobs',
  account: 'Account',
  operator: 'Operator',
};

function taskTitle(task: string): string {
  return TASKS[task] ?? task;
}

export interface Task {
  readonly name: string;
  readonly operations: readonly PlacedOperation[];
}

/** The operations of a document by task: a task is a tag. */
export function tasksOf({ document }: Pick<Reference, 'document'>): Task[] {
  const byTask = Map.groupBy(operationsOf(document), ({ tags = [] }) => tags[0] ?? 'other');
  const names = new Set([...Object.keys(TASKS), ...byTask.keys()]);
  return [...names].flatMap((name) => {
    const operations = byTask.get(name);
    return operations === undefined ? [] : [{ name, operations }];
  });
}

export function taskEntry({ name, operations }: Task): MenuEntry {
  return {
    name: `api/${name}`,
    title: taskTitle(name),
    parts: operations.map(({ operationId, summary }) => ({ id: operationId, title: summary })),
  };
}

/** All operations of a task on one page. */
export function taskPage(reference: Reference, { name, operations }: Task): PageText {
  const description = reference.document.tags?.find((tag) => tag.name === name)?.description ?? '';
  return {
    name: `api/${name}`,
    title: `${taskTitle(name)} API`,
    description: description === '' ? `Operations of the API: ${taskTitle(name)}` : description,
    body: html`<h1>${taskTitle(name)}</h1>
<p class="lead">${renderInline(description, reference.toHref)}</p>
${operationsList(operations)}
${operations.map((operation) => operationHtml(reference, operation))}`,
  };
}

/** Every schema of the document, which the operations refer to. */
export function schemasPage(reference: Reference): PageText {
  const { schemas } = reference.document.components;
  const names = Object.keys(schemas).sort();
  return {
    name: 'schemas',
    title: 'Schemas',
    description: 'The objects of requests and responses, member by member.',
    headings: names.map((name) => ({ id: name, text: name, depth: 2 })),
    body: html`<h1>Schemas</h1>
<p class="lead">The objects of requests and responses. The same in machine-readable form is in the
<a href="${reference.toHref('api:/openapi.json')}">OpenAPI document</a>.</p>
${names.map((name) => {
  const schema = schemas[name] ?? {};
  const { description = '' } = schema;
  return html`<h2 id="${name}">${name}${anchorLink(name)}</h2>
${description === '' ? null : html`<p>${renderInline(description, reference.toHref)}</p>`}
${membersHtml(reference, schema) ?? html`<p>${typeHtml(reference, schema)}</p>`}`;
})}`,
  };
}

/** The guide to events, and after it each type with what it means and its body. */
export function eventsPage(reference: Reference, guide: Rendered): PageText {
  const types = operationsOf(reference.document, reference.document.webhooks ?? {});
  const idOf = ({ path }: PlacedOperation) => `type-${path.replaceAll('.', '-')}`;
  return {
    name: 'events',
    title: 'Event types',
    description: 'Every type of event with its body, and the reasons of a feed reset.',
    headings: [
      ...guide.headings,
      { id: 'all-types', text: 'All types', depth: 2 },
      ...types.map((type) => ({ id: idOf(type), text: type.path, depth: 2 })),
    ],
    body: html`${guide.html}
<h2 id="all-types">All types${anchorLink('all-types')}</h2>
<ul class="codes">${types.map((type) => html`<li><a href="#${idOf(type)}"><code>${type.path}</code></a></li>`)}</ul>
${types.map((type) => eventHtml(reference, type, idOf(type)))}`,
  };
}

function eventHtml(reference: Reference, type: PlacedOperation, id: string): Html {
  const body = type.requestBody && resolve(reference.document, type.requestBody);
  const media = body?.content['application/json'];
  const example = exampleOf(reference.document, media);
  // The rules of a delivery are the same for all types, and stand in the guide.
  const [meaning = ''] = (type.description ?? '').split('\n\n');
  return html`<h2 id="${id}">${type.path}${anchorLink(id)}</h2>
${meaning === '' ? null : renderMarkdown(meaning, reference.toHref).html}
${media?.schema === undefined ? null : html`<p class="muted">Body: ${typeHtml(reference, media.schema)}</p>`}
${example === undefined ? null : jsonBlock(example, type.path)}`;
}
