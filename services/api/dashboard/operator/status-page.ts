import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { timeOf } from '../frame/parts.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';
import { bottlenecksHtml } from './bottleneck-line.ts';
import { queuesCard } from './queues-card.ts';
import { runbookLink } from './runbook.ts';
import { badge, type Status, section } from './status-parts.ts';

const PATH = '/dashboard/operator';
const EVERY_SECONDS = 3;

/** The operator's first page: what runs, what waits, and what slows it down. */
export function statusPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const page = {
    path: PATH,
    needs: undefined,
    section: PATH,
    styles: 'operator.css',
    title: (_: Status, { text }: Visit) => text.operator.status.title,
    everySeconds: () => EVERY_SECONDS,
    read: (visit: Visit) => visit.ask<Status>('getStatus'),
    body,
  };
  return livePage(page, deps);
}

function body(status: Status, live: Live, visit: Visit): Html {
  return html`<h1>${visit.text.operator.status.title}</h1>
${bottlenecksHtml(status, live, visit)}
<div class="cards">
${feedCard(status, live, visit)}
${queuesCard(status, live, visit)}
</div>
${services(status, live, visit)}
${consumers(status, live, visit)}
${transactions(status, live, visit)}`;
}

const SLOT_TONES = { ok: 'green', warn: 'amber', refuse: 'red', unknown: 'amber' } as const;

function feedCard({ source }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  const { bytes, ago } = visit.formats;
  if (source === null)
    return section(text.feed, 'disk', html`<p class="muted">${visit.text.operator.unknown}</p>`, visit);
  const limit = (value: number) => (value === 0 ? text.off : bytes(value));
  const { stalled, set_aside: asides, feed_age_seconds: age } = source;
  const sizes = [
    { name: 'lag', title: text.lag, value: source.lag_bytes, note: null },
    {
      name: 'retained',
      title: text.retained,
      value: source.retained_bytes,
      note: text.thresholds(limit(source.warn_bytes), limit(source.refuse_bytes)),
    },
  ];
  return section(
    text.feed,
    source.state === 'refuse' ? 'disk' : 'warnings',
    html`<p>${badge(SLOT_TONES[source.state], text.slotState[source.state])} <span class="muted">${text.slot(source.slot)}</span></p>
${source.reasons.map((reason) => html`<p class="sentence" lang="en">${reason}</p>`)}
${stalled && html`<p>${badge('red', text.stalled)} ${timeOf(live, visit, 'stalled', stalled.since)} <span lang="en">${stalled.detail}</span></p>`}
<dl class="facts"><div><dt>${text.feedAge}</dt><dd>${age === null ? text.never : live.text('feed-age', ago(age))}</dd></div>
${sizes.map(({ name, title, value, note }) => html`<div><dt>${title}</dt><dd>${value === null ? visit.text.frame.none : live.text(name, bytes(value))}${note && html` <small class="muted">${note}</small>`}</dd></div>`)}
<div><dt>${text.safe}</dt><dd>${source.safe_wal_bytes === null ? html`<span class="muted">${text.unlimited}</span>` : live.text('safe', bytes(Math.max(0, source.safe_wal_bytes)))}</dd></div></dl>
${asides.map(({ resource, detail, since }) => html`<p>${badge('red', text.aside(resource))} ${timeOf(live, visit, `aside-${resource}`, since)} ${runbookLink('aside', visit)}<br><span lang="en">${detail}</span></p>`)}`,
    visit,
  );
}

const PROCESS_TONES = { ready: 'green', starting: 'blue', silent: 'red' } as const;

function services({ processes }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  const { columns } = text;
  if (processes === null)
    return part(text.services, html`<p class="muted">${visit.text.operator.unknown}</p>`, visit);
  if (processes.length === 0) return part(text.services, html`<p class="muted">${text.noService}</p>`, visit);
  return part(
    text.services,
    html`<table class="list"><thead><tr><th scope="col">${columns.service}</th><th scope="col">${columns.state}</th><th scope="col">${columns.since}</th><th scope="col" class="wide">${columns.version}</th><th scope="col" class="wide">${columns.host}</th></tr></thead>
<tbody>${processes.map(
      ({ id, service, state, version, host, pid, started_at: since, seen_at: seen }) =>
        html`<tr><th scope="row" class="one-line">${service}</th><td>${badge(PROCESS_TONES[state], text.state[state])}${state === 'silent' ? html` <small>${text.seen} ${timeOf(live, visit, `seen-${id}`, seen)}</small>` : null}</td>
<td>${timeOf(live, visit, `up-${id}`, since)}</td><td class="wide">${version ?? visit.text.frame.none}</td><td class="wide">${host === null ? visit.text.frame.none : html`${host} <span class="muted">${String(pid)}</span>`}</td></tr>`,
    )}</tbody></table>`,
    visit,
  );
}

function consumers({ consumers: groups }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  const columns = text.groupColumns;
  const { number } = visit.formats;
  return html`<section><div class="title-row"><h2>${text.consumers}</h2>${groups && html`<a href="${visit.href(`${PATH}/consumers`)}">${text.partitions}</a>`}</div>
${
  groups === null
    ? html`<p class="muted">${visit.text.operator.unknown}</p>`
    : html`<table class="list"><thead><tr><th scope="col">${columns.group}</th><th scope="col" class="wide">${columns.service}</th><th scope="col" class="number">${columns.members}</th><th scope="col" class="number">${columns.lag}</th></tr></thead>
<tbody>${groups.map(
        ({ group, service, members, lag }) =>
          html`<tr><th scope="row"><code>${group}</code></th><td class="wide">${service}</td><td class="number">${live.text(`members-${group}`, number(members))}</td><td class="number">${live.text(`lag-${group}`, number(lag))}</td></tr>`,
      )}</tbody></table>`
}</section>`;
}

function transactions({ source, held_transactions: held }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  const others = source?.open_transactions ?? null;
  return html`<section><div class="title-row"><h2>${text.transactions}</h2>${runbookLink('slow', visit)}</div>
<h3>${text.held}</h3>${transactionTable(held, 'held', live, visit)}
<h3>${text.open}</h3>${transactionTable(others?.filter(({ application }) => !application.startsWith('tandem ')) ?? null, 'open', live, visit)}</section>`;
}

interface Transaction {
  readonly pid: number | null;
  readonly age_seconds: number;
  readonly application: string;
  readonly state: string;
  readonly holds_vacuum?: boolean;
}

function transactionTable(rows: readonly Transaction[] | null, kind: string, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  if (rows === null) return html`<p class="muted">${visit.text.operator.unknown}</p>`;
  if (rows.length === 0) return html`<p class="muted">${text.noTransaction}</p>`;
  const columns = text.transactionColumns;
  return html`<table class="list"><thead><tr><th scope="col">${columns.application}</th><th scope="col">${columns.age}</th><th scope="col" class="wide">${columns.state}</th><th scope="col" class="number wide">${columns.pid}</th></tr></thead>
<tbody>${rows.map(
    ({ pid, application, age_seconds: age, state, holds_vacuum: holds }, index) =>
      html`<tr><th scope="row">${application === '' ? text.unnamed : application}</th><td>${live.text(`${kind}-${pid ?? index}`, visit.formats.duration(age))}${holds === true ? html` <small>${text.vacuum}</small>` : null}</td><td class="wide">${state}</td><td class="number wide">${pid === null ? visit.text.frame.none : String(pid)}</td></tr>`,
  )}</tbody></table>`;
}

function part(title: string, content: Html, visit: Visit): Html {
  return html`<section><div class="title-row"><h2>${title}</h2>${runbookLink('processes', visit)}</div>${content}</section>`;
}
