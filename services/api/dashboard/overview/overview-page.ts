import type { z } from 'zod';
import type { accountOverviewSchema } from '../../account/response.ts';
import type { exportSchema } from '../../exports/response.ts';
import { type Content, type Html, html } from '../../pages/html.ts';
import type { webhookSchema } from '../../webhooks/response.ts';
import { exportRows } from '../exports/export-list.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';

type Overview = z.output<typeof accountOverviewSchema>;
type Export = z.output<typeof exportSchema>;
type Webhook = z.output<typeof webhookSchema>;

interface Facts {
  readonly account: Overview;
  readonly exports: readonly Export[] | undefined;
  readonly webhooks: readonly Webhook[] | undefined;
}

/** Jobs, endpoints and exports that the page shows of each. */
const MAX_SHOWN = 5;

const EVERY_SECONDS = 5;

/** What a customer sees first. */
export function overviewPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const page = {
    path: '/dashboard',
    needs: undefined,
    section: '/dashboard',
    title: (_: Facts, { text }: Visit) => text.overview.title,
    everySeconds: () => EVERY_SECONDS,
    read,
    body,
  };
  return livePage(page, deps);
}

async function read(visit: Visit): Promise<Facts> {
  const listed = async <Item>(scope: 'exports:read' | 'webhooks:read', operationId: string) =>
    visit.may(scope)
      ? (await visit.ask<{ data: Item[] }>(operationId, { query: { limit: MAX_SHOWN } })).data
      : undefined;
  return {
    account: await visit.ask<Overview>('getAccount'),
    exports: await listed<Export>('exports:read', 'listExports'),
    webhooks: await listed<Webhook>('webhooks:read', 'listWebhooks'),
  };
}

function body({ account, exports, webhooks }: Facts, live: Live, visit: Visit): Html {
  const text = visit.text.overview;
  return html`<h1>${text.title}</h1>
<div class="cards">
${running(account, live, visit)}
${quota(account, live, visit)}
${feed(account, live, visit)}
${webhooks && endpoints(webhooks, live, visit)}
</div>
${
  exports &&
  html`<section><h2>${text.lastExports}</h2>
${exportRows(exports, live, visit)}
${exports.length === 0 ? null : html`<p><a href="${visit.href('/dashboard/exports')}">${text.allExports}</a></p>`}</section>`
}`;
}

function card(title: string, content: Content): Html {
  return html`<section class="card"><h2>${title}</h2>${content}</section>`;
}

function running(
  { exports, bulk_operations: bulk, limits }: Overview,
  live: Live,
  visit: Visit,
): Html | null {
  const text = visit.text.overview;
  if (exports === null && bulk === null) return null;
  const { number } = visit.formats;
  const kinds = [
    { name: 'exports', title: text.exports, kind: exports, most: limits.max_running_exports },
    { name: 'bulk', title: text.bulk, kind: bulk, most: limits.max_running_bulk_operations },
  ];
  const jobs = [...(exports?.jobs ?? []), ...(bulk?.jobs ?? [])];
  return card(
    text.running,
    html`<dl class="facts">${kinds.map(
      ({ name, title, kind, most }) =>
        kind &&
        html`<div><dt>${title}</dt><dd>${live.text(`${name}-running`, text.runningCount(number(kind.running), number(most)))}${kind.queued > 0 ? html`, ${live.text(`${name}-queued`, text.queuedCount(number(kind.queued)))}` : null}</dd></div>`,
    )}</dl>
${
  jobs.length === 0
    ? html`<p class="muted">${text.nothingRuns}</p>`
    : html`<ul class="plain">${jobs
        .slice(0, MAX_SHOWN)
        .map(
          (job) =>
            html`<li>${job.id.startsWith('exp_') ? html`<a class="id" href="${visit.href(`/dashboard/exports/${job.id}`)}">${job.id}</a>` : html`<span class="id">${job.id}</span>`} ${statusBadge(job.status, visit)}${job.queue_position === undefined ? null : html` <span class="muted">${live.text(`place-${job.id}`, text.queuePlace(number(job.queue_position)))}</span>`}</li>`,
        )}</ul>`
}`,
  );
}

function quota({ bulk_quota: quota }: Overview, live: Live, visit: Visit): Html | null {
  const text = visit.text.overview;
  if (quota === null) return null;
  const { number } = visit.formats;
  const { limit, used } = quota;
  return card(
    text.quota,
    limit === null
      ? html`<p>${live.text('quota', text.quotaOpen(number(used)))}</p>`
      : html`<p>${live.text('quota', text.quotaOf(number(used), number(limit)))}</p>
${live.bar('quota-share', { value: limit === 0 ? 1 : Math.min(1, used / limit), label: text.quota })}
<p class="muted">${text.resets} ${timeOf(live, visit, 'quota-resets', quota.resets_at)}</p>`,
  );
}

function feed({ feed }: Overview, live: Live, visit: Visit): Html | null {
  const text = visit.text.overview;
  if (feed === null) return null;
  const { age_seconds: age, stalled, set_aside: aside } = feed;
  const [tone, state] =
    age === null
      ? ['', text.feedIdle]
      : stalled === null
        ? ['green', text.feedFlows]
        : ['red', text.feedStalled];
  return card(
    text.feed,
    html`<p><span class="badge" data-tone="${tone}">${state}</span></p>
${age === null ? null : html`<dl class="facts"><div><dt>${text.feedAge}</dt><dd>${live.text('feed-age', visit.formats.ago(age))}</dd></div></dl>`}
${aside.length === 0 ? null : html`<p class="muted">${text.setAside(visit.formats.number(aside.length))}</p>`}`,
  );
}

function endpoints(webhooks: readonly Webhook[], live: Live, visit: Visit): Html {
  const text = visit.text.overview;
  return card(
    text.webhooks,
    webhooks.length === 0
      ? html`<p class="muted">${text.noWebhooks}</p>`
      : html`<ul class="plain">${webhooks.map(
          ({ id, url, description, status, failing_since: since }) =>
            html`<li><span class="url">${description ?? url}</span> ${since === null || status !== 'active' ? statusBadge(status, visit) : html`<span class="badge" data-tone="amber">${text.failing}</span> <span class="muted">${timeOf(live, visit, `failing-${id}`, since)}</span>`}</li>`,
        )}</ul>`,
  );
}
