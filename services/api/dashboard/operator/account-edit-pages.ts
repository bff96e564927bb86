import { randomUUID } from 'node:crypto';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { html } from '../../pages/html.ts';
import { dashboardPage, type PageText } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { type AccountForm, accountFormHtml, bodyOf, fieldsOf } from './account-form.ts';
import { ACCOUNTS_PATH, type Account } from './account-list.ts';
import { submitted } from './form-fault.ts';

const NEW_PATH = `${ACCOUNTS_PATH}/new`;
const EDIT_PATH = `${ACCOUNTS_PATH}/{id}/edit`;

/** The fields of a new account, with the defaults of the API. */
const DEFAULTS = {
  max_running_exports: '3',
  max_running_bulk_operations: '3',
  period: 'month',
} as const;

/** A new account, and the limits and quota of one. The operations write the audit log. */
export function accountEditPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const show = async (visit: Visit, page: PageText | Promise<PageText>) =>
    pageResponse(dashboardPage(visit, visit.session, await page), deps);
  return [
    {
      method: 'GET',
      path: NEW_PATH,
      needs: undefined,
      handle: (visit) => show(visit, newPage(visit, new URLSearchParams(DEFAULTS))),
    },
    {
      method: 'POST',
      path: NEW_PATH,
      needs: undefined,
      handle: (visit) =>
        submitted(
          visit,
          deps,
          async () => {
            const { id } = await visit.ask<Account>('createAccount', {
              body: { ...bodyOf(visit.form), source_id: visit.form.get('source_id') ?? '' },
              idempotencyKey: readIdempotencyKey(visit.form.get('request') ?? undefined) ?? randomUUID(),
            });
            return seeOther(`${ACCOUNTS_PATH}/${id}`);
          },
          (error) => newPage(visit, visit.form, error),
        ),
    },
    {
      method: 'GET',
      path: EDIT_PATH,
      needs: undefined,
      handle: (visit) => show(visit, editPage(visit, undefined)),
    },
    {
      method: 'POST',
      path: EDIT_PATH,
      needs: undefined,
      handle: (visit) =>
        submitted(
          visit,
          deps,
          async () => {
            const id = visit.request.param('id');
            await visit.send('updateAccount', { params: { id }, body: bodyOf(visit.form) });
            return seeOther(`${ACCOUNTS_PATH}/${id}`);
          },
          (error) => editPage(visit, error),
        ),
    },
  ];
}

function newPage(visit: Visit, fields: URLSearchParams, error?: AppError): PageText {
  const text = visit.text.operator.edit;
  return pageOf(
    {
      title: text.createTitle,
      action: visit.href(NEW_PATH),
      back: visit.href(ACCOUNTS_PATH),
      submit: text.create,
      fields,
      error,
      account: undefined,
      extra: html`<input type="hidden" name="request" value="${fields.get('request') ?? randomUUID()}">
<div><label for="source_id">${text.sourceId}</label><input id="source_id" name="source_id" value="${fields.get('source_id')}" required maxlength="500" autocomplete="off" aria-describedby="source_id-hint">
<p class="hint" id="source_id-hint">${text.sourceIdHint}</p></div>`,
    },
    visit,
  );
}

/** @throws AppError `not_found` */
async function editPage(visit: Visit, error: AppError | undefined): Promise<PageText> {
  const id = visit.request.param('id');
  const account = await visit.ask<Account>('getAccountAsOperator', { params: { id } });
  const text = visit.text.operator.edit;
  return pageOf(
    {
      title: text.title(account.name),
      action: visit.href(`${ACCOUNTS_PATH}/${id}/edit`),
      back: visit.href(`${ACCOUNTS_PATH}/${id}`),
      submit: text.save,
      fields: error === undefined ? fieldsOf(account) : visit.form,
      error,
      account,
      extra: null,
    },
    visit,
  );
}

function pageOf(form: AccountForm, visit: Visit): PageText {
  return {
    title: form.title,
    section: ACCOUNTS_PATH,
    styles: 'operator.css',
    body: accountFormHtml(form, visit),
  };
}
