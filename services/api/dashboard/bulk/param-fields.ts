import { flag, type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';
import { type FormPage, faultHtml } from './form-page.ts';
import { isChoice, modeOf, type Param } from './job-request.ts';

/** Texts longer than this get a larger field. */
const LONG_TEXT = 200;

/** The operation's parameters besides records, from its description. */
export function paramFields(page: FormPage, visit: Visit): Html | null {
  const text = visit.text.bulk.create;
  const { operation, form, faults = [] } = page;
  if (operation.takes_any_params) {
    return html`<fieldset><legend>${text.params}</legend>
<label for="params">${text.anyParams}</label>
<textarea id="params" name="params" rows="3" spellcheck="false" class="mono" aria-describedby="params-hint">${form.get('params')}</textarea>
<p class="hint" id="params-hint">${text.anyParamsHint}</p>
${faultHtml(faults, 'params')}</fieldset>`;
  }
  if (operation.params.length === 0) return null;
  return html`<fieldset class="params"><legend>${text.params}</legend>
${operation.params.length > 1 ? html`<p class="hint">${text.paramsLead}</p>` : null}
${faultHtml(faults, 'params')}
${operation.params.map((param, index) => paramField(param, index, page, visit))}</fieldset>`;
}

function paramField(param: Param, index: number, page: FormPage, visit: Visit): Html {
  const text = visit.text.bulk.create;
  const { operation, form, faults = [] } = page;
  const { name, type, nullable } = param;
  const mode = modeOf(form, operation, param);
  const isOnly = operation.params.length === 1;
  const modes = [
    ...(isOnly ? [] : (['keep'] as const)),
    'set' as const,
    ...(nullable ? (['clear'] as const) : []),
  ];
  const hint = hintOf(param, visit);
  return html`<div class="param" data-param>
<div class="param-name"><code>${name}</code> <span class="muted">${type}</span></div>
${
  modes.length === 1
    ? html`<input type="hidden" name="mode.${name}" value="set">`
    : html`<select name="mode.${name}" aria-label="${text.mode(name)}">${modes.map((each) => html`<option value="${each}"${flag('selected', each === mode)}>${text[each]}</option>`)}</select>`
}
<div>${control(param, `param-${index}`, form.get(`set.${name}`) ?? '', hint !== '', visit)}
${hint === '' ? null : html`<p class="hint" id="param-${index}-hint">${hint}</p>`}
${faultHtml(faults, `param.${name}`)}</div>
</div>`;
}

function hintOf({ json_type: type, format, max_length: most, values }: Param, visit: Visit): string {
  const text = visit.text.bulk.create;
  if (values !== null && type !== 'array') return '';
  if (type === 'array') return [text.arrayHint, values?.join(', ')].filter(Boolean).join(' ');
  if (type === 'any' || type === 'object') return text.jsonHint;
  const form = format === null ? '' : text.formats[format];
  return [form, most === null ? '' : text.maxLength(visit.formats.number(most))].filter(Boolean).join(' ');
}

function control(param: Param, id: string, value: string, hasHint: boolean, visit: Visit): Html {
  const { name, json_type: type, values, max_length: most, format } = param;
  const label = visit.text.bulk.create.valueOf(name);
  const described = hasHint ? html` aria-describedby="${id}-hint"` : null;
  if (isChoice(param)) {
    const options = type === 'boolean' ? ['true', 'false'] : (values ?? []);
    return html`<select name="set.${name}" aria-label="${label}">${options.map((each) => html`<option${flag('selected', each === value)}>${each}</option>`)}</select>`;
  }
  const isLarge = type === 'array' || type === 'any' || type === 'object';
  const isText = type === 'string' && format === null && (most === null || most > LONG_TEXT);
  if (isLarge || isText) {
    return html`<textarea name="set.${name}" rows="${isLarge ? 3 : 1}" aria-label="${label}"${described}>${value}</textarea>`;
  }
  const isNumber = type === 'integer' || type === 'number' || format === 'decimal';
  return html`<input name="set.${name}" value="${value}" aria-label="${label}"${described}${flag('inputmode="decimal"', isNumber)}>`;
}
