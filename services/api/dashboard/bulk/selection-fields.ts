import type { Html } from '../../pages/html.ts';
import { flag, html } from '../../pages/html.ts';
import { faultWords } from '../frame/fault-words.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import { type FormPage, faultHtml } from './form-page.ts';
import { JOBS_PATH } from './job-list.ts';
import { MAX_ROWS, type Resource, type Row, readRows } from './job-request.ts';

const OPERATORS = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null', 'is_not_null'] as const;

/** The fields that select the job's records. */
export function selectionFields(page: FormPage, visit: Visit): Html | null {
  switch (page.by) {
    case 'filter':
      return filterFields(page, visit);
    case 'ids':
      return idFields(page, visit);
    case 'file':
      return fileFields(page, visit);
    case 'all':
      return allFields(page, visit);
    case 'failed':
      return failedFields(page, visit);
  }
}

function filterFields({ resource, form, faults = [] }: FormPage, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const rows = readRows(form);
  const option = (name: string, value: string, label: string) =>
    html`<option value="${value}"${flag('selected', form.get(name) === value)}>${label}</option>`;
  const box = (value: string, label: string, isDefault: boolean) =>
    html`<label class="check"><input type="radio" name="semantics" value="${value}"${flag('checked', form.has('semantics') ? form.get('semantics') === value : isDefault)}> ${label}</label>`;
  return html`<fieldset><legend class="hidden">${text.which}</legend>
<div class="match"><label for="match">${text.match}</label>
<select id="match" name="match">${option('match', 'all', text.matchAll)}${option('match', 'any', text.matchAny)}</select></div>
${faultHtml(faults, 'filter')}
<ol class="rows">${rows.map((row, index) => filterRow(row, index, { resource, faults, count: rows.length }, visit))}</ol>
${rows.length < MAX_ROWS ? html`<p><button name="do" value="add">${text.add}</button></p>` : null}
${fieldTable(resource, visit)}</fieldset>
<fieldset><legend>${text.semantics}</legend>${box('snapshot', text.snapshot, true)}${box('live', text.live, false)}</fieldset>`;
}

function filterRow(
  row: Row,
  index: number,
  { resource, faults, count }: Required<Pick<FormPage, 'resource' | 'faults'>> & { count: number },
  visit: Visit,
): Html {
  const text = visit.text.bulk.create;
  const number = visit.formats.number(index + 1);
  const label = (what: string) => text.ofRow(what, number);
  return html`<li data-row>
<select name="field.${index}" aria-label="${label(text.field)}"><option value="">${text.choose}</option>${resource.fields.map((field) => html`<option value="${field.name}" data-filters="${field.filters.join(' ')}"${flag('selected', field.name === row.field)}>${field.name}</option>`)}</select>
<select name="operator.${index}" aria-label="${label(text.comparison)}">${OPERATORS.map((each) => html`<option value="${each}"${flag('selected', each === row.operator)}>${text.operators[each]}</option>`)}</select>
<input name="value.${index}" value="${row.value}" aria-label="${label(text.value)}" placeholder="${text.value}" autocomplete="off">
${count > 1 ? html`<button name="do" value="remove.${index}" aria-label="${text.removeRow(number)}">${text.remove}</button>` : null}
${faultHtml(faults, `row.${index}`)}
</li>`;
}

/** The fields that a filter may use, for visitors who don't know them. */
function fieldTable({ fields }: Resource, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const valuesOf = ({ values, format, json_type: type }: Resource['fields'][number]) => {
    if (values !== null) return values.map((value) => html`<code>${value}</code> `);
    if (format !== null) return text.formats[format];
    return type === 'boolean' ? html`<code>true</code> <code>false</code>` : null;
  };
  return html`<details><summary>${text.fieldsTitle}</summary>
<p class="hint">${text.inHint}</p>
<div class="table" tabindex="0" role="region" aria-label="${text.fieldsTitle}"><table><thead><tr><th scope="col">${text.fieldColumns.field}</th><th scope="col">${text.fieldColumns.type}</th><th scope="col">${text.fieldColumns.values}</th></tr></thead>
<tbody>${fields.map((field) => html`<tr><th scope="row"><code>${field.name}</code></th><td class="muted">${field.type}</td><td>${valuesOf(field)}</td></tr>`)}</tbody></table></div></details>`;
}

function idFields({ resource, account, form, faults = [] }: FormPage, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const most = visit.formats.number(account.limits.max_bulk_ids);
  return html`<fieldset><legend class="hidden">${text.which}</legend>
<label for="ids">${text.ids}</label>
<textarea id="ids" name="ids" rows="8" spellcheck="false" class="mono" aria-describedby="ids-hint">${form.get('ids')}</textarea>
<p class="hint" id="ids-hint">${text.idsHint(most)} ${resource.key.length > 1 ? text.keyHint(resource.key.join(', ')) : null}</p>
${faultHtml(faults, 'ids')}</fieldset>`;
}

/** A form of its own for the upload of IDs, so that the main form stays small. */
export function uploadForm({ account, form, file, faults = [] }: FormPage, path: string, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const hasFile = file !== undefined || form.has('file_id');
  return html`<form method="post" action="${visit.href(`${path}/file`)}" enctype="multipart/form-data" class="form">
${csrfField(visit.session)}
<label for="file">${hasFile ? text.otherFile : text.file}</label>
<input id="file" type="file" name="file" accept=".txt,.csv,text/plain,text/csv" required aria-describedby="file-hint">
<p class="hint" id="file-hint">${text.fileHint(visit.formats.bytes(account.limits.max_bulk_file_bytes))}</p>
${faultHtml(faults, 'upload')}
<p><button class="${hasFile ? '' : 'primary'}">${text.upload}</button></p></form>`;
}

function fileFields({ form, file }: FormPage, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const { number } = visit.formats;
  const id = file?.file_id ?? form.get('file_id') ?? '';
  return html`<section class="note" role="status"><p><strong>${text.uploaded}</strong> <span class="id">${id}</span></p>
${
  file === undefined
    ? null
    : html`<p>${text.fileItems(number(file.items))} · ${text.fileIds(number(file.ids))}</p>
${file.bad_lines.length === 0 ? null : html`<p>${text.badLines}</p><ul>${file.bad_lines.map(({ line, detail }) => html`<li>${text.badLine(number(line), faultWords(detail, visit.text))}</li>`)}</ul>`}`
}</section>
<input type="hidden" name="file_id" value="${id}">`;
}

function allFields({ form, faults = [] }: FormPage, visit: Visit): Html {
  const text = visit.text.bulk.create;
  return html`<fieldset><legend class="hidden">${text.which}</legend><p>${text.allLead}</p>
<label class="check"><input type="checkbox" name="all"${flag('checked', form.get('all') === 'on')}> ${text.allSure}</label>
${faultHtml(faults, 'all')}</fieldset>`;
}

function failedFields({ failedOf, account }: FormPage, visit: Visit): Html | null {
  const text = visit.text.bulk.create;
  const { number } = visit.formats;
  if (failedOf === undefined) return null;
  const { job, ids } = failedOf;
  const most = account.limits.max_bulk_ids;
  const said =
    job.failed > most
      ? text.failedTooMany(number(most))
      : ids.length === 0
        ? text.noneFailed
        : text.failedLead(number(ids.length));
  return html`<section class="note"><p>${said} <a class="id" href="${visit.href(`${JOBS_PATH}/${job.job_id}`)}">${job.job_id}</a></p></section>
<input type="hidden" name="failed_of" value="${job.job_id}">`;
}
