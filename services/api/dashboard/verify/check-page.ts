import { AppError } from '../../../../shared/runtime/errors.ts';
import { type Html, html } from '../../pages/html.ts';
import { resourceNames } from '../exports/export-list.ts';
import { isMoving } from '../exports/export-page.ts';
import { progress, queue, stepper } from '../exports/export-progress.ts';
import type { Export, ExportFile } from '../exports/export-types.ts';
import { confirmedForm } from '../frame/layout.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import { SECTION } from './check-list.ts';

/** Characters of a line of code at most. */
const MAX_LINE = 40;

/** @throws AppError `not_found`, also for an export that is no check */
export async function readCheck(visit: Visit): Promise<Export> {
  const id = visit.request.param('id');
  const check = await visit.ask<Export>('getExport', { params: { id } });
  if (check.format !== 'digest') throw new AppError('not_found', `There is no check ${id}.`);
  return check;
}

/** The page of one check. */
export function checkBody(check: Export, live: Live, visit: Visit): Html {
  const text = visit.text.verify.details;
  const { id, status, error } = check;
  return html`<h1>${text.title(resourceNames(check.resources, visit))}</h1>
<p class="states">${statusBadge(status, visit)} <span class="id">${id}</span> <span class="muted">${timeOf(live, visit, 'at', check.created_at)}</span></p>
${stepper(check, visit)}
${status === 'pending' ? queue(check, [], live, visit) : isMoving(check) ? progress(check, undefined, live, visit) : null}
${error && html`<section class="fault"><h2>${text.failed}</h2><p>${error.message}</p><p class="muted"><code>${error.code}</code></p></section>`}
${position(check, visit)}
${results(check, visit)}
${status === 'cancelled' || status === 'failed' ? null : comparison(check, visit)}
${actions(check, visit)}`;
}

function position(check: Export, visit: Visit): Html | null {
  const text = visit.text.verify.details;
  const { as_of: asOf, cut } = check;
  if (cut === null && !isMoving(check)) return null;
  return html`<section><h2>${text.position}</h2>
<p class="muted">${cut === null ? text.awaited : text.positionLead}</p>
<dl class="facts">
${asOf && html`<div><dt>${text.asOf}</dt><dd>${visit.formats.utc(asOf)}</dd></div>`}
${cut && html`<div><dt>${text.before}</dt><dd><code>${cut.position}</code></dd></div>`}
</dl></section>`;
}

function results(check: Export, visit: Visit): Html | null {
  const text = visit.text.verify.details;
  if (check.status === 'expired') return html`<p class="note">${text.expired}</p>`;
  if (check.status !== 'completed') {
    return isMoving(check)
      ? html`<section><h2>${text.result}</h2><p class="muted">${text.waiting}</p></section>`
      : null;
  }
  return html`<section><h2>${text.result}</h2>
<table class="list digests"><thead><tr><th scope="col">${text.resource}</th><th scope="col" class="number">${text.records}</th><th scope="col">${text.digest}</th><th scope="col">${text.buckets}</th></tr></thead>
<tbody>${check.files.map((file) => result(check, file, visit))}</tbody></table>
<p class="muted hint">${text.bucketsLead}</p></section>`;
}

function result({ id }: Export, { resource, name, rows, digest }: ExportFile, visit: Visit): Html {
  const text = visit.text.verify.details;
  const path = `/dashboard/exports/${id}/files/${encodeURIComponent(name)}`;
  return html`<tr><th scope="row">${resource}</th>
<td class="number" data-label="${text.records}">${visit.formats.number(rows)}</td>
<td class="digest" data-label="${text.digest}"><code>${digest}</code></td>
<td class="more"><a href="${visit.href(path)}" download aria-label="${text.bucketsOf(resource ?? '')}">${text.buckets}</a></td></tr>`;
}

function comparison({ resources }: Export, visit: Visit): Html {
  const text = visit.text.verify.details;
  const sync = `tandem replica sync sqlite:replica.db --resources ${resources.map(quoted).join(',')} --once`;
  const command = `${sync}\ntandem replica verify sqlite:replica.db`;
  return html`<section class="compare"><h2>${text.compare}</h2>
<h3>${text.withCommand}</h3>
<p class="muted">${text.commandLead}</p>
${code('Shell', command)}
<h3>${text.withClient}</h3>
<div class="columns">${code('TypeScript', typescript(resources))}${code('Python', python(resources))}</div>
<h3>${text.bySelf}</h3>
<ol>${text.bySelfSteps.map((step) => html`<li>${step}</li>`)}</ol>
<p><a href="${visit.href('/docs/verify')}" target="_blank" rel="noopener">${text.guide}</a></p>
</section>`;
}

function typescript(resources: readonly string[]): string {
  return `const resources = ${list(resources)};
const replica = new Replica({ client, store, resources });
const check = await replica.verify();
console.log(check.isEqual, check.resources);`;
}

function python(resources: readonly string[]): string {
  return `resources = ${list(resources)}
replica = Replica(client, store, resources)
check = replica.verify()
print(check.is_equal, check.resources)`;
}

/** A list of texts as a literal, which TypeScript and Python write alike. */
function list(names: readonly string[]): string {
  const texts = names.map((name) => JSON.stringify(name));
  return texts.join(', ').length < MAX_LINE ? `[${texts.join(', ')}]` : `[\n  ${texts.join(',\n  ')},\n]`;
}

/** Quotes a resource's name for a shell if it needs quotes. */
function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}

function code(title: string, text: string): Html {
  return html`<div class="code" data-copy><div class="code-head">${title}</div><pre tabindex="0"><code>${text}</code></pre></div>`;
}

function actions({ id, status, resources }: Export, visit: Visit): Html | null {
  const text = visit.text.verify.details;
  if (!visit.may('exports:write')) return null;
  if (status === 'pending' || status === 'running') {
    return confirmedForm(visit, {
      action: visit.href(`${SECTION}/${id}/cancel`),
      title: text.cancel,
      question: text.confirmCancel,
    });
  }
  if (status === 'cancelling') return null;
  const query = new URLSearchParams(resources.map((name): [string, string] => ['resource', name]));
  return html`<p class="choices"><a class="button" href="${visit.href(`${SECTION}/new?${query}`)}">${text.again}</a></p>`;
}
