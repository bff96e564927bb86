import type { AppError } from '../../../../shared/runtime/errors.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import type { Export, Webhook } from './endpoint-facts.ts';
import { instantOf } from './webhook-parts.ts';

/** What a form of an endpoint shows. */
export interface WebhookForm {
  readonly action: string;
  /** Target of the link that cancels. */
  readonly back: string;
  /** The values of the fields by name, as typed or as the endpoint has them. */
  readonly values: URLSearchParams;
  readonly eventTypes: readonly EventType[];
  /** Undefined for an endpoint that has started already. */
  readonly start: { readonly exports: readonly Export[]; readonly requestKey: string } | undefined;
  readonly error: AppError | undefined;
}

export interface EventType {
  readonly type: string;
  readonly pattern: string;
}

/** The fields, in the order of the form, and what faults of the API's body belong to each. */
const POINTERS: Readonly<Record<string, string>> = {
  url: '/url',
  description: '/description',
  scope: '/events',
  after_export: '/start/after_export',
  since: '/start/since',
  batch_events: '/batch/max_events',
  batch_wait: '/batch/max_wait_ms',
  headers: '/headers',
  max_in_flight: '/max_in_flight',
  rate_limit: '/rate_limit',
  order: '/order',
};

/** The fields within the part that is closed at first. */
const MORE = ['batch_events', 'batch_wait', 'headers', 'max_in_flight', 'rate_limit', 'order'] as const;

/** How long a batch waits if the form gives no time. */
const DEFAULT_WAIT_MS = 1_000;

/** Resources that a choice of an export names. */
const MAX_RESOURCES = 3;

/** Faults that a field shows at most. Further ones say the same. */
const MAX_FAULTS = 3;

export function webhookForm(form: WebhookForm, visit: Visit): Html {
  const text = visit.text.webhooks.form;
  const { action, back, start, error } = form;
  const hasMore = MORE.some((name) => faultsOf(name, form).length > 0);
  return html`${error && formFault(form, error, visit)}
<form method="post" action="${visit.href(action)}" class="form">
${csrfField(visit.session)}
${start && html`<input type="hidden" name="request" value="${start.requestKey}">`}
${textField('url', text.url, form, {
  ...(start === undefined ? {} : { hint: text.urlHint }),
  mode: 'url',
  isRequired: true,
})}
${textField('description', label(text.description, visit), form, { hint: text.descriptionHint })}
${events(form, visit)}
${start && starts(form, start.exports, visit)}
<details class="more"${flag('open', hasMore)}><summary>${text.more}</summary>
<div class="columns">
${textField('batch_events', label(text.batchEvents, visit), form, { hint: text.batchEventsHint, mode: 'numeric' })}
${textField('batch_wait', label(text.batchWait, visit), form, { mode: 'numeric' })}
${textField('max_in_flight', text.inFlight, form, { mode: 'numeric' })}
${textField('rate_limit', label(text.rate, visit), form, { hint: text.rateHint, mode: 'numeric' })}
</div>
${headersField(form, visit)}
<fieldset><legend>${text.order}</legend>
${radio('order', 'record', text.orderRecord, form)}
${radio('order', 'strict', text.orderStrict, form)}</fieldset>
</details>
<p class="choices"><button class="primary">${start === undefined ? text.save : text.create}</button>
<a class="button" href="${visit.href(back)}">${text.cancel}</a></p>
</form>`;
}

function label(name: string, { text }: Visit): Html {
  return html`${name} <span class="muted">(${text.webhooks.form.optional})</span>`;
}

/** The message of a refused form. Faults of a single field are shown at the field. */
function formFault(form: WebhookForm, error: AppError, { text }: Visit): Html {
  const { refused, seeFields } = text.webhooks.form;
  const elsewhere = error.errors.filter(
    ({ pointer }) => !Object.values(POINTERS).some((own) => isWithin(pointer, own)),
  );
  const atFields = Object.keys(POINTERS).filter((name) => faultsOf(name, form).length > 0);
  return html`<div class="fault" role="alert"><p><strong>${refused}</strong> ${atFields.length === 0 ? error.message : seeFields}</p>
${elsewhere.length === 0 ? null : html`<ul>${elsewhere.map(({ pointer, detail }) => html`<li><code>${pointer}</code> ${detail}</li>`)}</ul>`}</div>`;
}

const isWithin = (pointer: string, own: string) => pointer === own || pointer.startsWith(`${own}/`);

function faultsOf(name: string, { error }: WebhookForm): string[] {
  const own = POINTERS[name];
  if (own === undefined) return [];
  return (error?.errors ?? [])
    .filter(({ pointer }) => isWithin(pointer, own))
    .slice(0, MAX_FAULTS)
    .map(({ pointer, detail }) => (pointer === own ? detail : `${pointer.slice(own.length + 1)}: ${detail}`));
}

interface FieldOptions {
  readonly hint?: string;
  readonly mode?: 'url' | 'numeric';
  readonly isRequired?: boolean;
}

function textField(
  name: string,
  title: Content,
  form: WebhookForm,
  { hint, mode, isRequired = false }: FieldOptions = {},
): Html {
  const faults = faultsOf(name, form);
  return html`<div class="field"><label for="${name}">${title}</label>
${hint && html`<p class="hint" id="${name}-hint">${hint}</p>`}
<input id="${name}" name="${name}" value="${form.values.get(name) ?? ''}" inputmode="${mode ?? 'text'}" autocomplete="off" spellcheck="false"${describedBy(name, hint, faults)}${flag('required', isRequired)}${flag('aria-invalid="true"', faults.length > 0)}>
${faultText(name, faults)}</div>`;
}

/** The attribute by which a screen reader finds the texts about a field. */
function describedBy(name: string, hint: string | undefined, faults: readonly string[]): Html | null {
  const ids = [hint === undefined ? [] : `${name}-hint`, faults.length === 0 ? [] : `${name}-fault`].flat();
  return ids.length === 0 ? null : html` aria-describedby="${ids.join(' ')}"`;
}

function faultText(name: string, faults: readonly string[]): Html | null {
  return faults.length === 0
    ? null
    : html`<p class="field-fault" id="${name}-fault">${faults.join('; ')}</p>`;
}

function headersField(form: WebhookForm, visit: Visit): Html {
  const text = visit.text.webhooks.form;
  const faults = faultsOf('headers', form);
  return html`<div class="field"><label for="headers">${label(text.headers, visit)}</label>
<p class="hint" id="headers-hint">${text.headersHint}</p>
<textarea id="headers" name="headers" rows="3" autocomplete="off" spellcheck="false"${describedBy('headers', text.headersHint, faults)}${flag('aria-invalid="true"', faults.length > 0)}>
${form.values.get('headers') ?? ''}</textarea>
${faultText('headers', faults)}</div>`;
}

/** A choice whose ID the styles use to show the fields that belong to it. */
function radio(name: string, value: string, title: string, { values }: WebhookForm): Html {
  return html`<label class="check"><input type="radio" id="${name}-${value}" name="${name}" value="${value}"${flag('checked', values.get(name) === value)}> ${title}</label>`;
}

function events(form: WebhookForm, visit: Visit): Html {
  const text = visit.text.webhooks.form;
  const chosen = new Set(form.values.getAll('event'));
  const groups = Object.groupBy(form.eventTypes, ({ pattern }) => pattern);
  const known = new Set(form.eventTypes.flatMap(({ type, pattern }) => [type, pattern]));
  const isNothing = form.error?.errors.some(({ pointer }) => pointer === '/events') === true;
  const others = [...chosen].filter((each) => !known.has(each) && each !== '*');
  const box = (value: string, title: Content) =>
    html`<label class="check"><input type="checkbox" name="event" value="${value}"${flag('checked', chosen.has(value))}> ${title}</label>`;
  return html`<fieldset><legend>${text.events}</legend>
${radio('scope', 'all', text.allEvents, form)}
${radio('scope', 'chosen', text.chosenEvents, form)}
${faultText('scope', isNothing ? [text.nothingChosen] : faultsOf('scope', form))}
<div class="event-types">${Object.entries(groups).map(
    ([pattern, types = []]) =>
      html`<div class="event-group" role="group" aria-label="${pattern}">${box(pattern, html`<strong>${text.allOf(pattern.replace(/\.\*$/, ''))}</strong>`)}${types.map(({ type }) => box(type, type))}</div>`,
  )}
${others.length === 0 ? null : html`<div class="event-group" role="group" aria-label="${text.otherEvents}">${others.map((each) => box(each, each))}</div>`}</div></fieldset>`;
}

function starts(form: WebhookForm, exports: readonly Export[], visit: Visit): Html {
  const text = visit.text.webhooks.form;
  const wanted = form.values.get('after_export');
  const [noExports, sinceFaults, exportFaults] = [
    exports.length === 0 && !wanted,
    faultsOf('since', form),
    faultsOf('after_export', form),
  ];
  return html`<fieldset><legend>${text.start}</legend>
${radio('start', 'now', text.startNow, form)}
${radio('start', 'after_export', text.startAfter, form)}
<div class="field of-after">${
    noExports
      ? html`<p class="hint">${text.noExports}</p>`
      : html`<label for="after_export">${text.export}</label><p class="hint" id="after_export-hint">${text.startAfterHint}</p>
<select id="after_export" name="after_export"${describedBy('after_export', text.startAfterHint, exportFaults)}>${exportOptions(exports, wanted, visit)}</select>${faultText('after_export', exportFaults)}`
  }</div>
${radio('start', 'since', text.startSince, form)}
<div class="field of-since"><label for="since">${text.since}</label>
<input id="since" name="since" type="datetime-local" value="${form.values.get('since') ?? ''}"${describedBy('since', undefined, sinceFaults)}${flag('aria-invalid="true"', sinceFaults.length > 0)}>${faultText('since', sinceFaults)}</div>
</fieldset>`;
}

/** Completed exports as choices; also one that was asked for and is not among the latest. */
export function exportOptions(exports: readonly Export[], wanted: string | null, visit: Visit): Html {
  const text = visit.text.webhooks.form;
  const isListed = !wanted || exports.some(({ id }) => id === wanted);
  return html`${isListed ? null : html`<option value="${wanted}" selected>${wanted}</option>`}${exports.map(
    ({ id, resources, created_at: at }) =>
      html`<option value="${id}"${flag('selected', id === wanted)}>${text.exportOption(namesOf(resources), visit.formats.utc(at), id)}</option>`,
  )}`;
}

function namesOf(resources: readonly string[]): string {
  const rest = resources.length > MAX_RESOURCES ? ', …' : '';
  return resources.slice(0, MAX_RESOURCES).join(', ') + rest;
}

/** The request body of a form. Invalid values stay in it, so that the API says what is wrong with them. */
export function bodyOf({ form }: Visit, hasStart: boolean): Readonly<Record<string, unknown>> {
  const [events, wait, inFlight, rate] = ['batch_events', 'batch_wait', 'max_in_flight', 'rate_limit'].map(
    (name) => numberOf(form.get(name)),
  );
  const description = form.get('description')?.trim() ?? '';
  return {
    url: form.get('url')?.trim() ?? '',
    description: description === '' ? null : description,
    events: form.get('scope') === 'chosen' ? form.getAll('event') : ['*'],
    headers: headersOf(form.get('headers') ?? ''),
    batch: events === undefined ? null : { max_events: events, max_wait_ms: wait ?? DEFAULT_WAIT_MS },
    ...(inFlight === undefined ? {} : { max_in_flight: inFlight }),
    rate_limit: rate ?? null,
    order: form.get('order') ?? 'record',
    ...(hasStart ? { start: startOf(form) } : {}),
  };
}

/** A number, or what was typed instead, which the API refuses. */
function numberOf(value: string | null): number | string | undefined {
  const text = (value ?? '').trim();
  if (text === '') return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

/** A line without a colon becomes a header name with a space, which the API refuses. */
function headersOf(text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return colon < 0
        ? [`${line.trim()} `, '']
        : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    }),
  );
}

function startOf(form: URLSearchParams): unknown {
  const start = form.get('start');
  if (start === 'after_export') return { after_export: form.get('after_export') ?? '' };
  return start === 'since' ? { since: instantOf(form.get('since')) ?? '' } : 'now';
}

/** The fields of a new endpoint. `exportId`: the export that it is to start after. */
export function newValues(exportId: string | null): URLSearchParams {
  return new URLSearchParams({
    scope: 'all',
    order: 'record',
    max_in_flight: '50',
    start: exportId === null ? 'now' : 'after_export',
    ...(exportId === null ? {} : { after_export: exportId }),
  });
}

/** The fields of an existing endpoint. */
export function valuesOf({ url, description, events, headers, batch, ...rest }: Webhook): URLSearchParams {
  const isAll = events.includes('*');
  const values = new URLSearchParams({
    url,
    description: description ?? '',
    scope: isAll ? 'all' : 'chosen',
    headers: Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n'),
    batch_events: batch === null ? '' : String(batch.max_events),
    batch_wait: batch === null ? '' : String(batch.max_wait_ms),
    max_in_flight: String(rest.max_in_flight),
    rate_limit: rest.rate_limit === null ? '' : String(rest.rate_limit),
    order: rest.order,
  });
  for (const event of isAll ? [] : events) values.append('event', event);
  return values;
}
