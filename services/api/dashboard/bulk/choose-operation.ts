import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';
import { newJobPath } from './job-page.ts';
import type { Operation, Resource } from './job-request.ts';
import { type Account, limitsCard } from './limits.ts';

/** Limit of parameters named in a description. */
const MAX_NAMED = 6;

/** The operations of the catalog, by resource. */
export function choicesBody(resources: readonly Resource[], account: Account, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const able = resources.filter(({ operations }) => operations.length > 0);
  return html`<h1>${text.title}</h1>
<p class="lead">${able.length === 0 ? text.nothing : text.lead}</p>
${limitsCard(account, visit)}
${able.map(
  (resource) =>
    html`<section><h2>${resource.name}</h2>${resource.unfit === null ? operationList(resource, visit) : html`<p class="hint">${text.unfit(resource.unfit.code)}</p>`}</section>`,
)}`;
}

function operationList(resource: Resource, visit: Visit): Html {
  return html`<ul class="operations">${resource.operations.map(
    (operation) =>
      html`<li><a href="${visit.href(newJobPath({ resource: resource.name, operation: operation.name }))}">${operation.name}<span class="hidden"> ${resource.name}</span></a> <span class="muted">${descriptionOf(operation, resource, visit)}</span></li>`,
  )}</ul>`;
}

/** What an operation does, in words. */
export function descriptionOf(
  { kind, params, sets }: Operation,
  { soft_delete: softDelete }: Resource,
  visit: Visit,
): string {
  const text = visit.text.bulk.create.kind;
  if (kind === 'handler') return text.handler;
  if (kind === 'delete') return softDelete === null ? text.delete : text.softDelete;
  const fixed = sets.map(({ name, value }) => text.fixed(name, String(value)));
  const all = [...fixed, ...params.map(({ name }) => name)];
  if (all.length === 0) return text.hidden;
  const names = all.slice(0, MAX_NAMED);
  const rest = all.length - names.length;
  return text.update(
    `${names.join(', ')}${rest > 0 ? ` ${visit.text.exports.list.more(visit.formats.number(rest))}` : ''}`,
  );
}
