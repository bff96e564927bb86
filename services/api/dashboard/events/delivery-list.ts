import type { z } from 'zod';
import { type Html, html } from '../../pages/html.ts';
import type { eventDeliverySchema } from '../../webhooks/event-delivery-response.ts';
import { csrfField } from '../frame/layout.ts';
import type { Live } from '../frame/live.ts';
import { timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import { outcomeWords } from '../webhooks/webhook-parts.ts';
import { SECTION } from './event-list.ts';

export type Delivery = z.output<typeof eventDeliverySchema>;

const TONES: Readonly<Record<Delivery['state'], string>> = {
  delivered: 'green',
  retrying: 'amber',
  waiting: 'amber',
  dead: 'red',
  upcoming: 'blue',
  in_export: '',
  not_subscribed: '',
  passed: '',
};

/** The deliveries of the event at each endpoint. */
export function deliveryList(id: string, deliveries: readonly Delivery[], live: Live, visit: Visit): Html {
  const text = visit.text.events.deliveries;
  if (deliveries.length === 0) return html`<p class="muted">${text.none}</p>`;
  // Endpoints that do not receive the event come last.
  const ordered = deliveries.toSorted(
    (a, b) => Number(a.state === 'not_subscribed') - Number(b.state === 'not_subscribed'),
  );
  return html`<ul class="deliveries">${ordered.map((delivery) => entry(id, delivery, live, visit))}</ul>`;
}

function entry(id: string, delivery: Delivery, live: Live, visit: Visit): Html {
  const text = visit.text.events.deliveries;
  const { webhook_id: webhookId, url, state, failed_attempts: failed, next_attempt_at: next } = delivery;
  const { label, meaning } = text.states[state];
  // An endpoint that does not subscribe to the type refuses a replay of the event.
  const mayDeliver = visit.may('webhooks:write') && state !== 'not_subscribed';
  return html`<li>
<div class="delivery"><a class="clip" href="${visit.href(`/dashboard/webhooks/${webhookId}`)}">${url}</a> <span class="badge" data-tone="${TONES[state]}">${label}</span>
${mayDeliver ? html`<form method="post" action="${visit.href(`${SECTION}/${id}/redeliver`)}">${csrfField(visit.session)}<input type="hidden" name="webhook_id" value="${webhookId}"><button>${state === 'delivered' || state === 'passed' ? text.again : text.now} <span class="hidden">${text.to(url)}</span></button></form>` : null}</div>
<p class="muted">${meaning}${failed > 0 ? html` ${text.failed(visit.formats.number(failed), failed)}` : null}${next === null || state !== 'retrying' ? null : html` ${text.next} ${timeOf(live, visit, `next-${webhookId}`, next)}.`}</p>
${lastAttempt(delivery, live, visit)}</li>`;
}

function lastAttempt(
  { webhook_id: webhookId, last_attempt: last }: Delivery,
  live: Live,
  visit: Visit,
): Html | null {
  const text = visit.text.events.deliveries;
  if (last === null) return null;
  const isBatch = last.batch !== null;
  return html`<details><summary>${text.last} ${timeOf(live, visit, `last-${webhookId}`, last.started_at)}: <strong>${outcomeWords(last, visit)}</strong> ${text.after(visit.formats.number(last.duration_ms))}${isBatch ? html`, ${text.inBatch(visit.formats.number(last.batch?.event_count ?? 0))}` : null}</summary>
${last.excerpt ? html`<pre class="excerpt" tabindex="0">${last.excerpt}</pre>` : html`<p class="muted">${last.status === null ? text.noResponse : text.noBody}</p>`}
<p><a href="${visit.href(`/dashboard/webhooks/${webhookId}/attempts/${last.id}`)}">${text.attempt}</a></p></details>`;
}
