import type { AppError } from '../../../../shared/runtime/errors.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import type { Account } from './account-list.ts';

const PERIODS = ['month', 'week', 'day'] as const;

/** Value of the form's field for a quota period of a fixed length. The form cannot write such a period, so the account keeps it. */
const KEPT = 'keep';

/** The form's fields for an existing account. */
export function fieldsOf({ name, limits }: Account): URLSearchParams {
  const { items, period } = limits.bulk_quota;
  return new URLSearchParams({
    name,
    max_running_exports: String(limits.max_running_exports),
    max_running_bulk_operations: String(limits.max_running_bulk_operations),
    items: items === null ? '' : String(items),
    period: typeof period === 'string' ? period : KEPT,
  });
}

/** The request body of a form. A value that is no number stays in it, and the API refuses it. */
export function bodyOf(form: URLSearchParams): { name: string; limits: Record<string, unknown> } {
  const items = form.get('items')?.trim() ?? '';
  const period = form.get('period') ?? '';
  return {
    name: form.get('name')?.trim() ?? '',
    limits: {
      max_running_exports: numberOf(form.get('max_running_exports')),
      max_running_bulk_operations: numberOf(form.get('max_running_bulk_operations')),
      bulk_quota: {
        items: items === '' ? null : numberOf(items),
        ...(period === KEPT ? {} : { period }),
      },
    },
  };
}

function numberOf(text: string | null): unknown {
  const digits = text?.trim() ?? '';
  return /^\d{1,15}$/.test(digits) ? Number(digits) : digits;
}

export interface AccountForm {
  readonly title: string;
  readonly action: string;
  readonly back: string;
  readonly submit: string;
  readonly fields: URLSearchParams;
  readonly error: AppError | undefined;
  /** The account that is edited; undefined for a new one. */
  readonly account: Account | undefined;
  /** Fields that only a new account has, and hidden ones. */
  readonly extra: Content;
}

export function accountFormHtml(form: AccountForm, visit: Visit): Html {
  const text = visit.text.operator.edit;
  const { fields, account } = form;
  const labels = {
    name: text.name,
    source_id: text.sourceId,
    max_running_exports: text.maxExports,
    max_running_bulk_operations: text.maxBulk,
    items: text.items,
    period: text.period,
  };
  const fixed = account?.limits.bulk_quota.period;
  const input = (name: string, title: string, attributes: Html, hint?: string) =>
    html`<div><label for="${name}">${title}</label><input id="${name}" name="${name}" value="${fields.get(name)}"${attributes}${hint === undefined ? null : html` aria-describedby="${name}-hint"`}>
${hint && html`<p class="hint" id="${name}-hint">${hint}</p>`}</div>`;
  const small = html` type="number" min="1" max="10" required`;
  return html`<h1>${form.title}</h1>
${form.error && faultBox(visit.text.operator.save.invalid, form.error, labels)}
<form class="form" method="post" action="${form.action}">${csrfField(visit.session)}
${input('name', text.name, html` required maxlength="200" autocomplete="off"`)}
${form.extra}
<div class="columns">${input('max_running_exports', text.maxExports, small)}
${input('max_running_bulk_operations', text.maxBulk, small)}
${input('items', text.items, html` type="number" min="0" inputmode="numeric"`, text.itemsHint)}
<div><label for="period">${text.period}</label><select id="period" name="period">${PERIODS.map((period) => html`<option value="${period}"${flag('selected', fields.get('period') === period)}>${text.periods[period]}</option>`)}${fixed === undefined || typeof fixed === 'string' ? null : html`<option value="${KEPT}"${flag('selected', fields.get('period') === KEPT)}>${text.keep(visit.formats.duration(fixed.seconds))}</option>`}</select></div></div>
<p class="muted">${text.effect}</p>
<p class="choices"><button class="primary">${form.submit}</button> <a class="button" href="${form.back}">${text.cancel}</a></p></form>`;
}
