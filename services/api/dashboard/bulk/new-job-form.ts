import { randomUUID } from 'node:crypto';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import { descriptionOf } from './choose-operation.ts';
import { type FormPage, faultHtml } from './form-page.ts';
import { JOBS_PATH } from './job-list.ts';
import { newJobPath } from './job-page.ts';
import { type Fault, readRows } from './job-request.ts';
import { limitsCard } from './limits.ts';
import { paramFields } from './param-fields.ts';
import { selectionFields, uploadForm } from './selection-fields.ts';

/** Limits of the sample: rows, columns and characters of a value. */
const MAX_SAMPLE = 5;
const MAX_COLUMNS = 7;
const MAX_VALUE = 60;

/**
 * The form of a new job. Its first button previews the request; the second starts the previewed request, once per
 * rendered page.
 */
export function newJobBody(page: FormPage, visit: Visit): Html {
  const { bulk } = visit.text;
  const text = bulk.create;
  const { resource, operation, form, faults = [], error, preview, by } = page;
  const path = newJobPath({ resource: resource.name, operation: operation.name });
  const hasForm = by !== 'file' || page.file !== undefined || form.has('file_id');
  return html`<p class="crumb"><a href="${visit.href(`${JOBS_PATH}/new`)}">${text.otherOperation}</a></p>
<h1>${bulk.title(operation.name, resource.name)}</h1>
<p class="lead">${descriptionOf(operation, resource, visit)}.</p>
${problem(faults, error, visit)}
${preview && previewSection(page, preview, visit)}
${limitsCard(page.account, visit)}
${tabs(page, path, visit)}
${by === 'file' ? uploadForm(page, path, visit) : null}
${
  hasForm
    ? html`<form method="post" action="${visit.href(path)}" class="form" id="job">
${csrfField(visit.session)}
<input type="hidden" name="request" value="${randomUUID()}">
<input type="hidden" name="by" value="${by}">
<input type="hidden" name="previewed" value="${preview?.print ?? ''}">
<button class="hidden" name="do" value="preview" tabindex="-1" aria-hidden="true">${text.preview}</button>
${selectionFields(page, visit)}
${paramFields(page, visit)}
<fieldset><legend>${text.options}</legend>
<label for="max-failures">${text.maxFailures}</label>
<input id="max-failures" name="max_failures" inputmode="numeric" class="short" value="${form.get('max_failures') ?? ''}" aria-describedby="max-failures-hint">
<p class="hint" id="max-failures-hint">${text.maxFailuresHint}</p>
${faultHtml(faults, 'max_failures')}</fieldset>
<p class="choices"><button class="${preview === undefined ? 'primary' : ''}" name="do" value="preview">${preview === undefined ? text.preview : text.previewAgain}</button></p>
<p class="muted">${text.previewLead}</p>
</form>`
    : null
}`;
}

/** The errors, with the parts of the form that they are about. */
function problem(faults: readonly Fault[], error: AppError | undefined, visit: Visit): Html | null {
  const text = visit.text.bulk.create;
  if (faults.length === 0 && error === undefined) return null;
  const said = faults.map(({ place, detail }) => {
    const [kind = '', name = ''] = /^(row|param)\.(.*)$/s.exec(place)?.slice(1) ?? [];
    if (kind === '') return html`<li>${detail}</li>`;
    const label = kind === 'row' ? text.condition(visit.formats.number(Number(name) + 1)) : name;
    return html`<li>${label}: ${detail}</li>`;
  });
  return html`<div class="fault" role="alert"><p>${text.refused} ${said.length === 0 ? error?.message : null}</p>
${said.length === 0 ? null : html`<ul>${said}</ul>`}</div>`;
}

/** The ways to select records, as links, because each is a page of its own. */
function tabs({ by, resource, failedOf }: FormPage, path: string, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const ways = resource.selectable_by_ids
    ? (['filter', 'ids', 'file', 'all'] as const)
    : (['filter', 'all'] as const);
  return html`<h2 id="which">${text.which}</h2>
<nav class="filters" aria-labelledby="which"><ul>
${ways.map((way) => html`<li><a href="${visit.href(`${path}?by=${way}`)}"${flag('aria-current="true"', way === by)}>${text.by[way]}</a></li>`)}
${failedOf === undefined ? null : html`<li><a href="${visit.href(`${path}?by=failed&failed_of=${encodeURIComponent(failedOf.job.job_id)}`)}" aria-current="true">${text.failedOf}</a></li>`}
</ul></nav>`;
}

function previewSection(
  page: FormPage,
  { run, hasChanged }: NonNullable<FormPage['preview']>,
  visit: Visit,
): Html {
  const text = visit.text.bulk.create;
  const { operation, account } = page;
  const { number, duration } = visit.formats;
  const { estimated_items: count, estimated_duration_seconds: seconds, sample } = run;
  const left = account.bulk_quota?.remaining ?? null;
  const tiles = [
    [text.records, number(count)],
    [text.duration, duration(seconds)],
    ...(left === null ? [] : [[text.afterwards, number(Math.max(0, left - count))]]),
  ];
  return html`<section class="card preview" role="status"><h2>${text.previewed}</h2>
${hasChanged ? html`<p class="warning">${text.changed}</p>` : null}
<dl class="tiles">${tiles.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${left !== null && left < count ? html`<p class="warning">${text.tooLittleQuota(number(left))}</p>` : null}
${
  count === 0
    ? html`<p>${text.nothingMatches}</p>`
    : html`<p class="choices"><button form="job" name="do" value="start" class="${operation.kind === 'delete' ? 'danger' : 'primary'}">${text.start(operation.name, number(count), count)}</button></p>`
}
${sampleSection(page, sample.slice(0, MAX_SAMPLE), visit)}</section>`;
}

/** The first records, with the form's fields first. Without the right to read records, their IDs. */
function sampleSection(
  { resource, operation, form }: FormPage,
  sample: NonNullable<FormPage['preview']>['run']['sample'],
  visit: Visit,
): Html | null {
  const text = visit.text.bulk.create;
  if (sample.length === 0) return null;
  if (!sample.some(({ record }) => record !== undefined)) {
    return html`<h3>${text.sample}</h3><ul class="ids">${sample.map(({ item_id: id }) => html`<li><code>${id}</code></li>`)}</ul>`;
  }
  const asked = new Set([
    ...readRows(form).map(({ field }) => field),
    ...operation.params.map(({ name }) => name),
    ...operation.sets.map(({ name }) => name),
  ]);
  const others = resource.fields.map(({ name }) => name).filter((name) => !resource.key.includes(name));
  const columns = [
    ...others.filter((name) => asked.has(name)),
    ...others.filter((name) => !asked.has(name)),
  ].slice(0, MAX_COLUMNS);
  return html`<h3>${text.sample}</h3><div class="table sample" tabindex="0" role="group" aria-label="${text.sample}"><table><thead><tr><th scope="col">${resource.key.join(', ')}</th>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${sample.map(
    ({ item_id: id, record }) =>
      html`<tr><th scope="row"><code>${id}</code></th>${
        record === undefined
          ? html`<td colspan="${columns.length}" class="muted">${text.noRecord}</td>`
          : columns.map((name) => html`<td>${shownValue(record, name, visit)}</td>`)
      }</tr>`,
  )}</tbody></table></div>`;
}

function shownValue(record: Readonly<Record<string, unknown>>, name: string, visit: Visit): Html | string {
  if (!Object.hasOwn(record, name)) return visit.text.bulk.create.tooLong;
  const value = record[name];
  if (value === null) return html`<span class="muted">${visit.text.frame.none}</span>`;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE).toWellFormed()}…` : text;
}
