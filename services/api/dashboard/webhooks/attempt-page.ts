import type { z } from 'zod';
import { type Content, type Html, html } from '../../pages/html.ts';
import type { attemptDetailsSchema } from '../../webhooks/attempt-response.ts';
import type { DashboardPage, Visit } from '../frame/visit.ts';
import {
  actionForm,
  doneNote,
  endpointPath,
  eventLink,
  explanation,
  isEvent,
  outcomeBadge,
  type PageDeps,
  SECTION,
  stillPage,
} from './webhook-parts.ts';

type AttemptDetails = z.output<typeof attemptDetailsSchema>;

/** Characters of a body that the page shows at most, so that the page stays small. */
const MAX_BODY_CHARACTERS = 16_384;

/** Events of a batch that the page lists at most. */
const MAX_EVENTS = 20;

/** Characters of one sent header that the page shows at most. The API shortens the headers of responses itself. */
const MAX_VALUE_CHARACTERS = 1_024;

/** One attempt: what was sent, what came back, and what that means. */
export function attemptPage(deps: PageDeps): DashboardPage {
  return {
    method: 'GET',
    path: `${SECTION}/{id}/attempts/{attempt}`,
    needs: 'webhooks:read',
    async handle(visit) {
      const id = visit.request.param('id');
      const params = { id, attempt_id: visit.request.param('attempt') };
      const attempt = await visit.ask<AttemptDetails>('getWebhookAttempt', { params });
      return stillPage(visit, deps, visit.text.webhooks.attempt.title, body(id, attempt, visit));
    },
  };
}

function body(webhookId: string, attempt: AttemptDetails, visit: Visit): Html {
  const text = visit.text.webhooks.attempt;
  const { number, utc, time } = visit.formats;
  const { started_at: at } = attempt;
  const facts: readonly (readonly [string, Content])[] = [
    [text.started, html`${utc(at)} <span class="muted">(${time(at)})</span>`],
    [text.duration, visit.text.webhooks.details.milliseconds(number(attempt.duration_ms))],
    [text.number, number(attempt.attempt)],
    [text.batch, attempt.batch && html`<code>${attempt.batch.id}</code>`],
  ];
  const failure = explanation(attempt, visit);
  return html`<p class="crumb"><a href="${visit.href(endpointPath(webhookId, '/attempts'))}">${text.back}</a></p>
<h1>${text.title} <span class="id">${attempt.id}</span></h1>
<p class="states">${outcomeBadge(attempt, visit)} <span class="muted">${time(at)}</span></p>
${doneNote(visit)}
${
  failure === null
    ? html`<div class="note"><p><strong>${text.deliveredTitle}.</strong> ${text.deliveredText}</p></div>`
    : html`<div class="fault">${failure}</div>`
}
<dl class="facts">${facts.map(([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${events(webhookId, attempt, visit)}
<div class="exchange">${request(attempt, visit)}${response(attempt, visit)}</div>`;
}

/** The events of the request, each with a way to send it again. */
function events(webhookId: string, { event_ids: ids, id }: AttemptDetails, visit: Visit): Html {
  const text = visit.text.webhooks.attempt;
  const { number } = visit.formats;
  const shown = ids.slice(0, MAX_EVENTS);
  const hidden = (name: string, value: string) => html`<input type="hidden" name="${name}" value="${value}">`;
  return html`<section><h2>${ids.length === 1 ? text.event : text.events(number(ids.length))}</h2>
<ul class="plain events">${shown.map(
    (eventId) =>
      html`<li>${eventLink(eventId, visit)}
${
  isEvent(eventId) && visit.may('webhooks:write')
    ? actionForm(
        visit,
        endpointPath(webhookId, '/redeliver'),
        text.redeliver,
        html`${hidden('event', eventId)}${hidden('attempt', id)}`,
      )
    : null
}</li>`,
  )}</ul>
${ids.length > shown.length ? html`<p class="muted">${text.moreEvents(number(ids.length - shown.length))}</p>` : null}</section>`;
}

function request({ request: sent }: AttemptDetails, visit: Visit): Html {
  const text = visit.text.webhooks.attempt;
  if (sent === null) {
    return html`<section><h2>${text.request}</h2><p class="muted">${text.noRequest}</p></section>`;
  }
  const { number, bytes } = visit.formats;
  const { body: whole } = sent;
  const shown = whole?.slice(0, MAX_BODY_CHARACTERS).toWellFormed() ?? null;
  const isCut = shown !== null && (sent.is_body_cut || shown.length < (whole?.length ?? 0));
  return html`<section><h2>${text.request}</h2>
${headerTable(text.request, sent.headers, visit)}
${
  shown === null
    ? html`<p class="muted">${visit.may('events:read') ? text.noBody : text.bodyHidden}</p>`
    : bodyBlock(text.request, shown, visit)
}
${isCut ? html`<p class="muted">${text.bodyCut(number(shown.length), bytes(sent.body_bytes ?? 0))}</p>` : null}</section>`;
}

function response({ response: got }: AttemptDetails, visit: Visit): Html {
  const text = visit.text.webhooks.attempt;
  if (got === null) {
    return html`<section><h2>${text.response}</h2><p class="muted">${text.noResponse}</p></section>`;
  }
  const { headers, headers_omitted: omitted } = got;
  return html`<section><h2>${text.response} <span class="muted">${String(got.status)}</span></h2>
${headerTable(text.response, headers, visit)}
${omitted === 0 ? null : html`<p class="muted">${text.headersOmitted(visit.formats.number(omitted))}</p>`}
${bodyBlock(text.response, got.body, visit)}
${got.is_body_cut ? html`<p class="muted">${text.responseCut}</p>` : null}</section>`;
}

function headerTable(of: string, headers: Readonly<Record<string, string>>, { text }: Visit): Html | null {
  const entries = Object.entries(headers);
  if (entries.length === 0) return null;
  return html`<h3>${text.webhooks.attempt.headers}<span class="hidden"> (${of})</span></h3>
<dl class="headers">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value.slice(0, MAX_VALUE_CHARACTERS).toWellFormed()}</dd></div>`)}</dl>`;
}

/** Shows a body exactly as it was signed, or as it came back. */
function bodyBlock(of: string, content: string, { text }: Visit): Html {
  const { body: title, emptyBody } = text.webhooks.attempt;
  if (content === '') return html`<p class="muted">${emptyBody}</p>`;
  return html`<div class="code" data-copy><div class="code-head">${title}<span class="hidden"> (${of})</span></div><pre class="wrapped" tabindex="0"><code>${content}</code></pre></div>`;
}
