import type { z } from 'zod';
import type { accountOverviewSchema } from '../../account/response.ts';
import type { exportSchema } from '../../exports/response.ts';
import { type Content, type Html, html } from '../../pages/html.ts';
import type { webhookSchema } from '../../webhooks/response.ts';
import type { statsSchema } from '../../webhooks/stats-response.ts';
import { exportRows, jobName, jobPath } from '../exports/export-list.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';

type Overview = z.output<typeof accountOverviewSchema>;
type ExportJob = NonNullable<Overview['exports']>['jobs'][number];
type BulkJob = NonNullable<Overview['bulk_operations']>['jobs'][number];
type Export = z.output<typeof exportSchema>;
type Webhook = z.output<typeof webhookSchema>;
type Behind = z.output<typeof statsSchema>['behind_by'];

interface Endpoint {
  readonly webhook: Webhook;
  readonly behind: Behind;
}

interface Facts {
  readonly account: Overview;
  readonly exports: readonly Export[] | undefined;
  readonly endpoints: readonly Endpoint[] | undefined;
}

/** Jobs, endpoints and exports that the page shows at most, of each. */
const MAX_SHOWN = 5;

const EVERY_SECONDS = 5;

/** A customer's first page. */
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
  const list = async <Item>(operationId: string, filter: Readonly<Record<string, string>> = {}) =>
    (await visit.ask<{ data: Item[] }>(operationId, { query: { limit: MAX_SHOWN, ...filter } })).data;
  return {
    account: await visit.ask<Overview>('getAccount'),
    exports: visit.may('exports:read') ? await list<Export>('listExports', { kind: 'records' }) : undefined,
    endpoints: visit.may('webhooks:read')
      ? await withBacklogs(await list<Webhook>('listWebhooks'), visit)
      : undefined,
  };
}

async function withBacklogs(webhooks: readonly Webhook[], visit: Visit): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = [];
  // One after the other, because a page counts as one running request of its account.
  for (const webhook of webhooks) {
    const stats = await visit.ask<{ behind_by: Behind }>('getWebhookStats', { params: { id: webhook.id } });
    endpoints.push({ webhook, behind: stats.behind_by });
  }
  return endpoints;
}

function body({ account, exports, endpoints }: Facts, live: Live, visit: Visit): Html {
  const text = visit.text.overview;
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('exports:write') ? html`<a class="button primary" href="${visit.href('/dashboard/exports/new')}">${visit.text.exports.list.create}</a>` : null}</div>
${exports?.length === 0 ? firstSteps(endpoints, visit) : null}
<div class="cards">
${running(account, exports ?? [], live, visit)}
${quota(account, live, visit)}
${feed(account, endpoints, live, visit)}
${endpoints && health(endpoints, account, live, visit)}
</div>
${
  exports === undefined || exports.length === 0
    ? null
    : html`<section><h2>${text.lastExports}</h2>
${exportRows(exports, live, visit)}
<p><a href="${visit.href('/dashboard/exports')}">${text.allExports}</a></p></section>`
}`;
}

/** For an account that has no export yet: what to do, and in which order. */
function firstSteps(endpoints: readonly Endpoint[] | undefined, visit: Visit): Html {
  const text = visit.text.overview.first;
  const link = (path: string, title: string, isShown = true) =>
    isShown ? html`<a href="${visit.href(path)}">${title}</a>` : null;
  const steps = [
    {
      ...text.export,
      link: link('/dashboard/exports/new', text.export.action, visit.may('exports:write')),
      isDone: false,
    },
    {
      ...text.webhook,
      link: link('/docs/receivers', text.webhook.action),
      isDone: endpoints !== undefined && endpoints.length > 0,
    },
    { ...text.replica, link: link('/docs/replica', text.replica.action), isDone: false },
  ];
  return html`<section class="first"><h2>${text.title}</h2><p class="muted">${text.lead}</p>
<ol>${steps.map(
    ({ title, lead, link: target, isDone }) =>
      html`<li><strong>${title}</strong>${isDone ? html` <span class="badge" data-tone="green">${text.done}</span>` : null}<p>${lead}</p>${target}</li>`,
  )}</ol></section>`;
}

/** A card with a link to its area. */
function card(title: string, content: Content, href?: string): Html {
  return html`<section class="card"><h2>${href === undefined ? title : html`<a href="${href}">${title}</a>`}</h2>${content}</section>`;
}

function running(
  { exports, bulk_operations: bulk, limits }: Overview,
  known: readonly Export[],
  live: Live,
  visit: Visit,
): Html | null {
  const text = visit.text.overview;
  if (exports === null && bulk === null) return null;
  const { number } = visit.formats;
  const kinds = [
    {
      name: 'exports',
      title: text.exports,
      path: '/dashboard/exports',
      kind: exports,
      most: limits.max_running_exports,
    },
    {
      name: 'bulk',
      title: text.bulk,
      path: '/dashboard/bulk',
      kind: bulk,
      most: limits.max_running_bulk_operations,
    },
  ];
  const jobs = [...(exports?.jobs ?? []), ...(bulk?.jobs ?? [])];
  const hidden = jobs.length - MAX_SHOWN;
  return card(
    text.running,
    html`<dl class="facts">${kinds.map(
      ({ name, title, path, kind, most }) =>
        kind &&
        html`<div><dt><a href="${visit.href(path)}">${title}</a></dt><dd>${live.text(`${name}-running`, text.runningCount(number(kind.running), number(most)))}${kind.queued > 0 ? html`, ${live.text(`${name}-queued`, text.queuedCount(number(kind.queued)))}` : null}</dd></div>`,
    )}</dl>
${
  jobs.length === 0
    ? html`<p class="muted">${text.nothingRuns}</p>`
    : html`<ul class="plain">${jobs.slice(0, MAX_SHOWN).map((job) => ('operation' in job ? activeBulkJob(job, live, visit) : activeExport(job, known, live, visit)))}</ul>`
}
${hidden > 0 ? html`<p class="muted">${live.text('jobs-more', text.moreJobs(number(hidden)))}</p>` : null}
${jobs.some(({ queue_position: place }) => place !== undefined) ? html`<p class="muted">${text.queueRule}</p>` : null}`,
  );
}

/** A check of a replica is an export too, but has a page of its own. */
function activeExport(job: ExportJob, known: readonly Export[], live: Live, visit: Visit): Html {
  const { id } = job;
  const { percent, duration } = visit.formats;
  const found = known.find((each) => each.id === id);
  const left =
    found?.status === 'running' && found.eta_seconds !== null
      ? visit.text.exports.details.timeLeft(duration(found.eta_seconds))
      : '';
  const done = found?.status === 'running' ? [percent(found.progress), left].filter(Boolean).join(' · ') : '';
  return activeJob(job, { path: jobPath(job), name: jobName(job, visit), done }, live, visit);
}

function activeBulkJob(job: BulkJob, live: Live, visit: Visit): Html {
  const { id, resource, operation, processed, total, queue_position: place } = job;
  const { number, percent } = visit.formats;
  const { bulk } = visit.text;
  const done =
    place === undefined
      ? `${bulk.countOf(number(processed), number(total))} · ${percent(total === 0 ? 0 : processed / total)}`
      : visit.text.overview.itemCount(number(total), total);
  return activeJob(
    job,
    { path: `/dashboard/bulk/${id}`, name: bulk.title(operation, resource), done },
    live,
    visit,
  );
}

function activeJob(
  { id, status, queue_position: place }: ExportJob | BulkJob,
  { path, name, done }: { readonly path: string; readonly name: string; readonly done: string },
  live: Live,
  visit: Visit,
): Html {
  const text = visit.text.overview;
  return html`<li><a href="${visit.href(path)}">${name}</a> ${statusBadge(status, visit)}
${done === '' ? null : html`<span class="muted">${live.text(`done-${id}`, done)}</span>`}
${place === undefined ? null : html`<span class="muted">${live.text(`place-${id}`, text.queuePlace(visit.formats.number(place)))}</span>`}</li>`;
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

function feed(
  { feed }: Overview,
  endpoints: readonly Endpoint[] | undefined,
  live: Live,
  visit: Visit,
): Html | null {
  const text = visit.text.overview;
  if (feed === null) return null;
  const { age_seconds: age, stalled, set_aside: aside } = feed;
  const [tone, state] =
    age === null
      ? ['', text.feedIdle]
      : stalled === null
        ? ['green', text.feedFlows]
        : ['red', text.feedStalled];
  const last = endpoints?.toSorted((a, b) => b.behind.events - a.behind.events)[0];
  return card(
    text.feed,
    html`<p><span class="badge" data-tone="${tone}">${state}</span>${stalled === null ? null : html` <span class="muted">${text.stalledSince} ${timeOf(live, visit, 'stalled', stalled.since)}</span>`}</p>
<dl class="facts">${age === null ? null : html`<div><dt>${text.feedAge}</dt><dd>${live.text('feed-age', visit.formats.ago(age))}</dd></div>`}
${last === undefined ? null : html`<div><dt>${text.delivery}</dt><dd>${live.text('feed-behind', behindText(last.behind, visit))}</dd></div>`}</dl>
${aside.length === 0 ? null : html`<p class="muted">${text.setAside(aside.map(({ resource }) => resource).join(', '))}</p>`}`,
  );
}

/** `3 s, 41 events behind` */
function behindText({ events, seconds, is_exact: isExact }: Behind, { formats, text }: Visit): string {
  const { behindBy, upToDate } = text.overview;
  if (events === 0 && isExact) return upToDate;
  const count = `${formats.number(events)}${isExact ? '' : '+'}`;
  return behindBy(seconds === null ? undefined : formats.duration(seconds), count, events);
}

function health(
  endpoints: readonly Endpoint[],
  { webhooks: counts }: Overview,
  live: Live,
  visit: Visit,
): Html {
  const text = visit.text.overview;
  const total = counts === null ? 0 : counts.active + counts.paused + counts.disabled;
  const hidden = total - endpoints.length;
  return card(
    text.webhooks,
    endpoints.length === 0
      ? html`<p class="muted">${text.noWebhooks}</p>`
      : html`<ul class="plain">${endpoints.map((endpoint) => endpointEntry(endpoint, live, visit))}</ul>
${hidden > 0 ? html`<p><a href="${visit.href('/dashboard/webhooks')}">${text.moreEndpoints(visit.formats.number(hidden))}</a></p>` : null}`,
    visit.href('/dashboard/webhooks'),
  );
}

function endpointEntry({ webhook, behind }: Endpoint, live: Live, visit: Visit): Html {
  const { id, url, description, status, failing_since: since } = webhook;
  const text = visit.text.overview;
  return html`<li><a class="url" href="${visit.href(`/dashboard/webhooks/${id}`)}">${description ?? url}</a>
${since === null || status !== 'active' ? statusBadge(status, visit) : html`<span class="badge" data-tone="amber">${text.failing}</span> <span class="muted">${text.firstFailure} ${timeOf(live, visit, `failing-${id}`, since)}</span>`}
<small>${live.text(`behind-${id}`, behindText(behind, visit))}</small></li>`;
}
