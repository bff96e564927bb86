import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';
import { runbookLink } from './runbook.ts';
import type { Status } from './status-parts.ts';

const EVERY_SECONDS = 10;

type Group = NonNullable<Status['consumers']>[number];

/** What each consumer group has not read, partition by partition. */
export function consumersPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const page = {
    path: '/dashboard/operator/consumers',
    needs: undefined,
    section: '/dashboard/operator',
    styles: 'operator.css',
    title: (_: Status, { text }: Visit) => text.operator.consumers.title,
    everySeconds: () => EVERY_SECONDS,
    read: (visit: Visit) => visit.ask<Status>('getStatus'),
    body,
  };
  return livePage(page, deps);
}

function body({ consumers }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.consumers;
  return html`<div class="title-row"><h1>${text.title}</h1>${runbookLink('kafka', visit)}</div>
<p class="lead">${text.lead}</p>
${consumers === null ? html`<p class="muted">${visit.text.operator.unknown}</p>` : consumers.map((group) => groupHtml(group, live, visit))}`;
}

function groupHtml(
  { group, service, members, topics, topics_omitted: omitted }: Group,
  live: Live,
  visit: Visit,
): Html {
  const text = visit.text.operator.consumers;
  const { number } = visit.formats;
  return html`<section><h2><code>${group}</code></h2>
<p class="muted">${service} · ${live.text(`members-${group}`, text.members(number(members)))}</p>
<table class="list lags"><thead><tr><th scope="col">${text.columns.topic}</th><th scope="col" class="number">${text.columns.lag}</th><th scope="col">${text.columns.partitions}</th></tr></thead>
<tbody>${topics.map(
    ({
      topic,
      lag,
      partitions,
    }) => html`<tr><th scope="row"><code>${topic}</code></th><td class="number">${live.text(`lag-${group}-${topic}`, number(lag))}</td>
<td><ol class="partitions" start="0">${partitions.map(
      (each) =>
        html`<li><span class="muted">${String(each.partition)}:</span> ${live.text(`lag-${group}-${topic}-${each.partition}`, each.lag === null ? text.noOffset : number(each.lag))}</li>`,
    )}</ol></td></tr>`,
  )}</tbody></table>
${omitted === 0 ? null : html`<p class="muted">${text.omitted(number(omitted))}</p>`}</section>`;
}
