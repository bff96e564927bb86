import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../../shared/domain/export-request.ts';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { feedSchema } from '../../events/feed-routes.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import { fieldsName, isChosen, type Kind, kindOf } from './export-form.ts';
import { resourceNames } from './export-list.ts';
import type { Estimate, Export, Resource } from './export-types.ts';

const PATH = '/dashboard/exports/new';

/** With more fields than this, only those of the chosen resources are listed, so that the page stays small. */
const MAX_LISTED_FIELDS = 400;

export interface FormFacts {
  readonly resources: readonly Resource[];
  /** Completed exports that changes_since may name. */
  readonly earlier: readonly Export[];
  /** The ID of an earlier export in the form that is not in the list. */
  readonly unlisted: string | undefined;
  /** Undefined for a session without the right to see it. */
  readonly feed: z.output<typeof feedSchema> | undefined;
}

export interface Outcome {
  readonly estimate?: Estimate;
  readonly error?: AppError;
}

/** The parts of the form that update while it is filled in. */
export interface OutcomeTexts {
  readonly rows: string;
  readonly size: string;
  readonly duration: string;
  /** Why the export can't start; null when it can. */
  readonly fault: string | null;
}

export function outcomeTexts({ estimate, error }: Outcome, visit: Visit): OutcomeTexts {
  const { formats, text } = visit;
  const { refusals, unknown } = text.exports.create;
  const refusal = estimate?.refusal ?? null;
  const shown = (value: number | null | undefined, format: (value: number) => string) =>
    value === undefined ? text.frame.none : value === null ? unknown : format(value);
  return {
    rows: shown(estimate?.estimated_rows, formats.number),
    size: shown(estimate?.estimated_bytes, formats.bytes),
    duration: shown(estimate?.estimated_duration_seconds, formats.duration),
    fault: error === undefined ? refusal && refusals[refusal.code] : faultText(error, visit),
  };
}

/** In the page's language where the error code is known, otherwise the API's text. */
function faultText({ code, message, errors }: AppError, { text }: Visit): string {
  const { refusals, labels } = text.exports.create;
  const known = code === 'feed_behind' || code === 'too_many' ? refusals[code] : undefined;
  if (known !== undefined) return known;
  if (errors.length === 0) return message;
  const nameOf: Readonly<Record<string, string>> = labels;
  return errors
    .map(({ pointer, detail }) => `${nameOf[pointer.split('/')[1] ?? ''] ?? pointer}: ${detail}.`)
    .join(' ');
}

export function newExportForm(form: URLSearchParams, facts: FormFacts, outcome: Outcome, visit: Visit): Html {
  const text = visit.text.exports.create;
  // A refused attempt is over, so the next one is another request.
  const request = outcome.error === undefined ? visit.form.get('request') : null;
  return html`<h1>${text.title}</h1>
${facts.feed?.stalled == null ? null : html`<p class="note">${text.feedStalled}</p>`}
<form method="post" action="${visit.href(PATH)}" class="form with-aside" data-new-export="${visit.href(`${PATH}/estimate`)}">
${csrfField(visit.session)}
<input type="hidden" name="request" value="${request ?? randomUUID()}">
<div>
${kinds(form, facts, visit)}
${resources(form, facts, visit)}
<fieldset><legend>${text.files}</legend><div class="columns">
${select(form, 'format', text.format, FILE_FORMATS)}
${select(form, 'compression', text.compression, EXPORT_COMPRESSIONS)}
</div>
${box(form, 'zip', text.zip)}
${box(form, 'csv_safe', text.csvSafe)}
</fieldset>
<fieldset class="of-records"><legend>${text.records}</legend>
${box(form, 'include_deleted', text.includeDeleted)}
${box(form, 'include_related', text.includeRelated)}
</fieldset>
${range(form, facts, visit)}
<details class="more"${flag('open', (form.get('max_rows_per_second') ?? '') !== '')}><summary>${text.more}</summary>
<label for="max_rows_per_second">${text.rate}</label>
<input id="max_rows_per_second" name="max_rows_per_second" inputmode="numeric" value="${form.get('max_rows_per_second')}" aria-describedby="rate-hint">
<p class="hint" id="rate-hint">${text.rateHint}</p></details>
</div>
${outcomePanel(form, outcome, visit)}
</form>`;
}

function outcomePanel(form: URLSearchParams, outcome: Outcome, visit: Visit): Html {
  const text = visit.text.exports.create;
  const { rows, size, duration, fault } = outcomeTexts(outcome, visit);
  const facts = [
    ['rows', text.rows, rows],
    ['size', text.size, size],
    ['duration', text.duration, duration],
  ];
  return html`<aside class="card estimate"><div role="status" data-estimate><h2>${text.estimated}</h2>
<dl class="facts">${facts.map(([name, label, value]) => html`<div><dt>${label}</dt><dd data-estimate-text="${name}">${value}</dd></div>`)}</dl>
<p class="muted" data-estimate-hint=""${flag('hidden', isChosen(form))}>${text.hint}</p></div>
<div class="fault" role="alert" data-estimate-fault=""${flag('hidden', fault === null)}><p><strong>${text.refused}</strong> <span data-estimate-text="fault">${fault}</span></p></div>
<p class="choices"><button class="primary" name="do" value="start">${text.start}</button>
<button class="unscripted" name="do" value="estimate">${text.estimate}</button></p></aside>`;
}

function kinds(form: URLSearchParams, { earlier, unlisted }: FormFacts, visit: Visit): Html {
  const text = visit.text.exports.create;
  const chosen = kindOf(form);
  const choice = (kind: Kind, more: Content) => html`<div class="choice">
<label class="check"><input type="radio" name="kind" value="${kind}"${flag('checked', kind === chosen)}> ${text.kinds[kind].title}</label>
<p class="hint">${text.kinds[kind].lead}</p>${more && html`<div class="chosen">${more}</div>`}</div>`;
  const since = form.get('changes_since');
  return html`<fieldset><legend>${text.what}</legend>
${choice('now', null)}
${choice('as_of', html`<label for="as_of">${text.moment}</label><input type="datetime-local" step="1" id="as_of" name="as_of" value="${form.get('as_of')}">`)}
${choice(
  'changes',
  earlier.length === 0 && unlisted === undefined
    ? html`<p class="muted">${text.noEarlier}</p>`
    : html`<label for="changes_since">${text.since}</label>
<select id="changes_since" name="changes_since"><option value="">${text.choose}</option>
${unlisted === undefined ? null : html`<option selected value="${unlisted}">${unlisted}</option>`}
${earlier.map((each) => html`<option value="${each.id}"${flag('selected', each.id === since)}>${resourceNames(each.resources, visit)} · ${visit.formats.utc(each.snapshot?.taken_at ?? each.created_at)}</option>`)}</select>`,
)}
</fieldset>`;
}

function resources(form: URLSearchParams, { resources: all, feed }: FormFacts, visit: Visit): Html {
  const text = visit.text.exports.create;
  const chosen = new Set(form.getAll('resource'));
  const aside = new Set(feed?.set_aside.map(({ resource }) => resource));
  const total = all.reduce((sum, { fields }) => sum + fields.length, 0);
  return html`<fieldset class="of-records"><legend>${text.resources}</legend>
<ul class="plain">${all.map((resource) => {
    const { unfit } = resource;
    const isOn = unfit === null && chosen.has(resource.name);
    const lists = resource.fields.length > 0 && (isOn || total <= MAX_LISTED_FIELDS);
    const count = visit.formats.number(resource.fields.length);
    return html`<li><label class="check"><input type="checkbox" name="resource" value="${resource.name}"${flag('checked', isOn)}${flag('disabled', unfit !== null)}> ${resource.name}</label>
${lists ? fieldChoice(form, resource, visit) : resource.fields.length > 0 && html`<span class="muted">${text.fields(count)}</span>`}
${unfit === null ? null : html`<p class="hint">${text.unfit(unfit.code)}</p>`}
${unfit === null && aside.has(resource.name) ? html`<p class="hint">${text.setAside}</p>` : null}</li>`;
  })}</ul></fieldset>`;
}

/** All fields with their types, to look at and to select. Key fields are always included. */
function fieldChoice(form: URLSearchParams, { name, fields, key }: Resource, visit: Visit): Html {
  const text = visit.text.exports.create;
  const chosen = new Set(form.getAll(fieldsName(name)));
  return html`<details${flag('open', chosen.size > 0)}><summary>${text.fields(visit.formats.number(fields.length))}<span class="hidden"> ${text.ofResource(name)}</span></summary>
<p class="hint">${text.fieldsLead}</p>
<ul class="fields">${fields.map((field) => {
    const type = html`<code>${field.name}</code> <span class="muted">${field.type}</span>`;
    return key.includes(field.name)
      ? html`<li>${type} <span class="badge">${text.key}</span></li>`
      : html`<li><label><input type="checkbox" name="${fieldsName(name)}" value="${field.name}"${flag('checked', chosen.has(field.name))}> ${type}</label></li>`;
  })}</ul></details>`;
}

function range(form: URLSearchParams, { resources: all }: FormFacts, visit: Visit): Html {
  const text = visit.text.exports.create;
  const names = [...new Set(all.flatMap(({ exports }) => exports.date_range.fields))].sort();
  const moment = (name: string, label: string) => html`<div><label for="${name}">${label}</label>
<input type="datetime-local" step="1" id="${name}" name="${name}" value="${form.get(name)}"></div>`;
  const isOpen = (form.get('from') ?? '') !== '' || (form.get('to') ?? '') !== '';
  return html`<details class="more of-records"${flag('open', isOpen)}><summary>${text.range}</summary>
<p class="hint">${text.rangeLead}</p><div class="columns">
${moment('from', text.from)}
${moment('to', text.to)}
<div><label for="range_field">${text.rangeField}</label>
<select id="range_field" name="range_field"><option value="">${text.rangeDefault}</option>${names.map((name) => html`<option${flag('selected', form.get('range_field') === name)}>${name}</option>`)}</select></div>
</div></details>`;
}

function select(form: URLSearchParams, name: string, label: string, values: readonly string[]): Html {
  return html`<div><label for="${name}">${label}</label>
<select id="${name}" name="${name}">${values.map((value) => html`<option${flag('selected', form.get(name) === value)}>${value}</option>`)}</select></div>`;
}

function box(form: URLSearchParams, name: string, label: string): Html {
  return html`<label class="check"><input type="checkbox" name="${name}"${flag('checked', form.get(name) === 'on')}> ${label}</label>`;
}
