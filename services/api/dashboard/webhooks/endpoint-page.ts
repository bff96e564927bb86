import { DISABLED_REASONS } from '../../../../shared/domain/disabled-reasons.ts';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import { type Content, flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import type { Live } from '../frame/live.ts';
import { timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import { endpointActions } from './endpoint-actions.ts';
import type { Attempt, EndpointFacts, Stats, Webhook } from './endpoint-facts.ts';
import { groupTraffic, RANGES, type Range } from './traffic.ts';
import { trafficChart } from './traffic-chart.ts';
import { eventsOf } from './webhook-list.ts';
import {
  actionForm,
  backlogWords,
  disabledWords,
  doneNote,
  endpointPath,
  explanation,
  healthBadge,
  nameOf,
  outcomeBadge,
  outcomeWords,
} from './webhook-parts.ts';

/** The page of one endpoint. `error` is set after a refused change. */
export function endpointBody(facts: EndpointFacts, live: Live, visit: Visit, error?: AppError): Html {
  const text = visit.text.webhooks.details;
  const { webhook, stats, range, nowMs, failures } = facts;
  const { id, url } = webhook;
  const name = nameOf(webhook);
  return html`<div class="title-row"><h1 class="name short">${name}</h1>
${visit.may('webhooks:write') ? quickActions(webhook, visit) : null}</div>
<p class="states">${healthBadge(webhook, visit)} ${name === url ? null : html`<span class="url short">${url}</span>`} <span class="id">${id}</span></p>
${error && faultBox(text.refused, error)}
${doneNote(visit)}
${facts.test === undefined ? null : testResult(id, facts.test, visit)}
${health(webhook, failures, live, visit)}
${stats.failed_replay && html`<p class="note">${text.recovering} ${visit.formats.utc(stats.failed_replay.from)} – ${visit.formats.utc(stats.failed_replay.to)}</p>`}
${figures(webhook, stats, live, visit)}
<section><div class="title-row"><h2>${text.chart}</h2>${ranges(id, range, visit)}</div>
${rates(stats, live, visit)}
${stats.buckets.length === 0 ? html`<p class="muted">${text.noTraffic}</p>` : trafficChart(groupTraffic(stats.buckets, range, nowMs), live, visit)}</section>
<section><div class="title-row"><h2>${text.failedAttempts}</h2><a href="${visit.href(endpointPath(id, '/attempts'))}">${text.allAttempts}</a></div>
${failures.length === 0 ? html`<p class="muted">${text.noFailures}</p>` : failureList(id, failures, live, visit)}</section>
${settings(webhook, live, visit)}
${visit.may('webhooks:write') ? endpointActions(facts, visit) : null}`;
}

function testResult(id: string, test: Attempt | null, visit: Visit): Html {
  const text = visit.text.webhooks.test;
  if (test === null) return html`<p class="note" role="status">${text.underWay}</p>`;
  const link = html`<a href="${visit.href(endpointPath(id, `/attempts/${test.id}`))}">${text.details}</a>`;
  const time = visit.text.webhooks.details.milliseconds(visit.formats.number(test.duration_ms));
  return test.outcome === 'delivered'
    ? html`<div class="note" role="status"><p><strong>${text.title}</strong> ${text.delivered(String(test.status), time)} ${link}</p></div>`
    : html`<div class="fault" role="status"><p><strong>${text.title}</strong> ${outcomeBadge(test, visit)} ${link}</p>
${explanation(test, visit)}</div>`;
}

/** The actions that people use most. */
function quickActions({ id, status }: Webhook, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const [move, title] = status === 'active' ? ['/pause', text.pause] : ['/resume', text.resume];
  return html`<div class="quick">${actionForm(visit, endpointPath(id, '/test'), text.test)}${actionForm(visit, endpointPath(id, move), title)}<a class="button" href="${visit.href(endpointPath(id, '/edit'))}">${text.edit}</a></div>`;
}

/** Notices of what is wrong with the endpoint, or unusual. */
function health(webhook: Webhook, failures: readonly Attempt[], live: Live, visit: Visit): Content {
  const text = visit.text.webhooks.details;
  const { id, status, status_reason: reason, failing_since: since, held_by: heldBy } = webhook;
  const [last] = failures;
  const lastFailure =
    last &&
    html`<p>${live.link('last-failure', visit.href(endpointPath(id, `/attempts/${last.id}`)), text.lastFailure)} ${outcomeBadge(last, visit)}</p>${explanation(last, visit)}`;
  return [
    status === 'disabled' &&
      html`<section class="fault"><h2>${text.disabled}</h2>${reason && html`<p>${disabledWords(reason, visit)}</p>`}<p>${text.disabledLead}</p>${reason === DISABLED_REASONS.missed ? null : lastFailure}</section>`,
    status === 'paused' && html`<p class="note">${text.paused}</p>`,
    status === 'active' &&
      since !== null &&
      html`<section class="fault"><h2>${text.failing}</h2>
<p>${text.failingSince} ${timeOf(live, visit, 'failing', since)}. ${live.text('failures', text.failuresInRow(visit.formats.number(webhook.failures_in_row)))}</p>${lastFailure}</section>`,
    status === 'active' &&
      webhook.resting_until !== null &&
      Date.parse(webhook.resting_until) > Date.now() &&
      html`<p class="note">${text.resting} ${live.text('resting', visit.formats.utc(webhook.resting_until))}. ${text.restingLead}</p>`,
    heldBy !== null &&
      html`<p class="note">${text.heldBy} <a class="id" href="${visit.href(`/dashboard/events/${heldBy}`)}">${heldBy}</a></p>`,
    webhook.old_secret_valid_until !== null &&
      html`<p class="note">${text.twoSecrets} ${visit.formats.utc(webhook.old_secret_valid_until)}.</p>`,
  ];
}

function figures({ id }: Webhook, stats: Stats, live: Live, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const { number } = visit.formats;
  const { count: behind, age: oldest } = backlogWords(stats.behind_by, visit);
  return tiles('now', [
    [
      text.behind,
      html`${live.text('behind', behind)} <small class="muted">${live.text('oldest', oldest)}</small>`,
    ],
    [text.retrying, live.text('retrying', number(stats.retrying))],
    [
      text.dead,
      html`<a href="${visit.href(endpointPath(id, '/dead-letters'))}">${live.text('dead', number(stats.dead_letters))}</a>`,
    ],
  ]);
}

/** The numbers for the time that the chart shows. */
function rates(stats: Stats, live: Live, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const { number } = visit.formats;
  const time = (value: number | undefined) =>
    value === undefined ? visit.text.frame.none : text.milliseconds(number(value));
  return tiles('rates', [
    [text.delivered, live.text('delivered', number(stats.events.delivered))],
    [text.failed, live.text('failed', number(stats.attempts.failed))],
    [text.p50, live.text('p50', time(stats.duration_ms?.p50))],
    [text.p95, live.text('p95', time(stats.duration_ms?.p95))],
  ]);
}

function tiles(kind: string, entries: readonly (readonly [name: string, value: Content])[]): Html {
  return html`<dl class="tiles" data-kind="${kind}">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function ranges(id: string, current: Range, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  return html`<nav class="filters" aria-label="${text.range}"><ul>${(Object.keys(RANGES) as Range[]).map(
    (range) =>
      html`<li><a href="${visit.href(`${endpointPath(id)}?range=${range}`)}"${flag('aria-current="true"', range === current)}>${text.ranges[range]}</a></li>`,
  )}</ul></nav>`;
}

/** Parts that change with each failed attempt: an endpoint that keeps failing must not reload its page all the time. */
function failureList(id: string, failures: readonly Attempt[], live: Live, visit: Visit): Html {
  const { relative, utc } = visit.formats;
  return html`<ul class="plain attempts">${failures.map(
    (each, place) =>
      html`<li>${live.link(`failure-${place}`, visit.href(endpointPath(id, `/attempts/${each.id}`)), outcomeWords(each, visit))} <span class="muted">${live.text(`failure-at-${place}`, `${relative(each.started_at)} · ${utc(each.started_at)}`)} · <span class="id">${live.text(`failure-event-${place}`, each.event_id)}</span></span></li>`,
  )}</ul>`;
}

function settings(webhook: Webhook, live: Live, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const { number, utc } = visit.formats;
  const { batch, rate_limit: rate } = webhook;
  const headers = Object.keys(webhook.headers);
  const entries: readonly (readonly [string, Content])[] = [
    [text.events, webhook.events.length > 3 ? codes(webhook.events) : eventsOf(webhook.events, visit)],
    [text.start, startOf(webhook.start, visit)],
    [
      text.batch,
      batch === null ? text.noBatch : text.batchOf(number(batch.max_events), number(batch.max_wait_ms)),
    ],
    [text.order, text.orders[webhook.order]],
    [text.inFlight, number(webhook.max_in_flight)],
    [text.rate, rate === null ? text.unlimited : number(rate)],
    [text.headers, headers.length === 0 ? null : codes(headers)],
    [text.created, utc(webhook.created_at)],
    [text.position, html`<code>${live.text('position', webhook.position)}</code>`],
  ];
  return html`<section><h2>${text.settings}</h2><dl class="facts">${entries.map(
    ([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl></section>`;
}

function codes(names: readonly string[]): Html {
  return html`${names.map((each) => html`<code>${each}</code> `)}`;
}

function startOf(start: unknown, visit: Visit): Content {
  const text = visit.text.webhooks.details;
  if (typeof start !== 'object' || start === null) return text.startNow;
  if ('after_export' in start && typeof start.after_export === 'string') {
    const { after_export: id } = start;
    return html`${text.startAfter} <a class="id" href="${visit.href(`/dashboard/exports/${id}`)}">${id}</a>`;
  }
  return 'since' in start && typeof start.since === 'string' ? text.startSince(start.since) : text.startNow;
}
