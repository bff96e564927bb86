import { flag, type Html, html } from '../../pages/html.ts';
import { confirmedForm, csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import type { EndpointFacts, Export } from './endpoint-facts.ts';
import { exportOptions } from './webhook-form.ts';
import { endpointPath, fieldTime } from './webhook-parts.ts';

const DAY_MS = 86_400_000;

/** The actions of a session that may change the endpoint. */
export function endpointActions({ webhook, exports, nowMs }: EndpointFacts, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const { id, failing_since: since } = webhook;
  const path = (rest: string) => endpointPath(id, rest);
  return html`<section><h2>${text.actions}</h2>
<div class="actions">
${recover(path('/recover'), since === null ? startOfYesterday(nowMs) : fieldTime(since), visit)}
${replay(path('/replay'), startOfYesterday(nowMs), exports, visit)}
${confirmedForm(visit, {
  action: visit.href(path('/rotate')),
  title: text.rotate,
  question: text.confirmRotate,
  // The idempotency key depends on the endpoint's state alone. So a form that is sent twice makes one secret.
  fields: html`<input type="hidden" name="request" value="${`rotate-${id}-${webhook.updated_at}`}">`,
})}
${confirmedForm(visit, { action: visit.href(path('/delete')), title: text.delete, question: text.confirmDelete })}
</div></section>`;
}

/** A time that changes once a day, so that a page that is polled stays the same. */
function startOfYesterday(nowMs: number): string {
  return fieldTime(Math.floor(nowMs / DAY_MS) * DAY_MS - DAY_MS);
}

function recover(action: string, from: string, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  return html`<details class="confirm" id="recover"${flag('open', visit.query.has('recover') || visit.form.has('from'))}><summary class="button">${text.recover}</summary>
<div><p>${text.recoverLead}</p><form method="post" action="${visit.href(action)}">${csrfField(visit.session)}
<label for="recover-from">${text.from}</label><input id="recover-from" name="from" type="datetime-local" required value="${visit.form.get('from') ?? from}">
<label for="recover-to">${text.to} <span class="muted">(${visit.text.webhooks.form.optional})</span></label><input id="recover-to" name="to" type="datetime-local" value="${visit.form.get('to') ?? ''}">
<button>${text.recoverNow}</button></form></div></details>`;
}

function replay(action: string, since: string, exports: readonly Export[], visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const isAfter = visit.form.get('start') === 'after_export';
  return html`<details class="confirm" id="replay"${flag('open', visit.form.has('start'))}><summary class="button">${text.replay}</summary>
<div><p>${text.replayLead}</p><form method="post" action="${visit.href(action)}">${csrfField(visit.session)}
${exports.length === 0 ? html`<input type="hidden" name="start" value="since">` : html`<label class="check"><input type="radio" name="start" value="since"${flag('checked', !isAfter)}> ${text.replaySince}</label>`}
<label for="replay-since">${text.from}</label><input id="replay-since" name="since" type="datetime-local" value="${visit.form.get('since') ?? since}">
${
  exports.length === 0
    ? null
    : html`<label class="check"><input type="radio" name="start" value="after_export"${flag('checked', isAfter)}> ${text.replayAfter}</label>
<label for="replay-export">${visit.text.webhooks.form.export}</label><select id="replay-export" name="after_export">${exportOptions(exports, visit.form.get('after_export'), visit)}</select>`
}
<button class="danger">${text.replayNow}</button></form></div></details>`;
}
