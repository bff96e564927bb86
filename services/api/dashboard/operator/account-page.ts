import type { z } from 'zod';
import type { auditSchema } from '../../admin/audit-routes.ts';
import type { portalSessionSchema } from '../../admin/portal-routes.ts';
import type { bulkJobSchema } from '../../bulk/response.ts';
import type { exportSchema } from '../../exports/response.ts';
import { type Content, type Html, html } from '../../pages/html.ts';
import type { webhookSchema } from '../../webhooks/response.ts';
import { jobName } from '../exports/export-list.ts';
import { confirmedForm, csrfField, dashboardPage } from '../frame/layout.ts';
import { statusBadge } from '../frame/parts.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { ACCOUNTS_PATH, type Account, quotaText } from './account-list.ts';
import { auditTable } from './audit-page.ts';
import { runbookLink } from './runbook.ts';
import { badge } from './status-parts.ts';

interface Activity {
  readonly account: Account;
  readonly exports: readonly z.output<typeof exportSchema>[];
  readonly bulk: readonly z.output<typeof bulkJobSchema>[];
  readonly webhooks: readonly z.output<typeof webhookSchema>[];
  readonly events: readonly { readonly id: string; readonly type: string; readonly timestamp: string }[];
  readonly audit: readonly z.output<typeof auditSchema>[];
  readonly sessions: readonly z.output<typeof portalSessionSchema>[];
}

/** Entries of each kind of activity that the page shows at most. */
const MAX_SHOWN = 5;
const MAX_SESSIONS = 20;

/** One account: its limits, what it does, and who is in its dashboard. */
export function accountPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const path = `${ACCOUNTS_PATH}/{id}`;
  const toAccount = (visit: Visit) => seeOther(`${ACCOUNTS_PATH}/${visit.request.param('id')}`);
  return [
    {
      method: 'GET',
      path,
      needs: undefined,
      async handle(visit) {
        const activity = await readActivity(visit);
        const page = {
          title: activity.account.name,
          section: ACCOUNTS_PATH,
          styles: 'operator.css',
          body: accountBody(activity, visit),
        };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
    {
      method: 'POST',
      path: `${path}/sessions/end`,
      needs: undefined,
      async handle(visit) {
        await visit.send('revokePortalSessions', { params: { id: visit.request.param('id') } });
        return toAccount(visit);
      },
    },
    {
      method: 'POST',
      path: `${path}/sessions/{session_id}/end`,
      needs: undefined,
      async handle({ request, ...visit }) {
        const params = { id: request.param('id'), session_id: request.param('session_id') };
        await visit.send('revokePortalSession', { params });
        return seeOther(`${ACCOUNTS_PATH}/${params.id}`);
      },
    },
  ];
}

/** Reads the account first, so that the lists of an unknown account are not read. */
async function readActivity(visit: Visit): Promise<Activity> {
  const id = visit.request.param('id');
  const account = await visit.ask<Account>('getAccountAsOperator', { params: { id } });
  const list = async <Item>(operationId: string, limit = MAX_SHOWN) =>
    (await visit.ask<{ data: Item[] }>(operationId, { query: { limit }, accountId: id })).data;
  const ofAccount = { params: { id }, query: { limit: MAX_SESSIONS } };
  return {
    account,
    exports: await list('listExports'),
    bulk: await list('listBulkOperations'),
    webhooks: await list('listWebhooks'),
    events: await list('searchEvents'),
    audit: await list('listAuditEntries'),
    sessions: (await visit.ask<{ data: Activity['sessions'] }>('listPortalSessions', ofAccount)).data,
  };
}

function accountBody(activity: Activity, visit: Visit): Html {
  const { account, exports, bulk, webhooks, events, audit } = activity;
  const text = visit.text.operator.account;
  const { number, time } = visit.formats;
  const { id, limits } = account;
  const at = (rest: string) => visit.href(`${ACCOUNTS_PATH}/${id}/${rest}`);
  const facts: readonly (readonly [string, Content])[] = [
    [text.id, html`<span class="id">${id}</span>`],
    [text.sourceId, account.source_id],
    [text.created, time(account.created_at)],
    [text.maxExports, number(limits.max_running_exports)],
    [text.maxBulk, number(limits.max_running_bulk_operations)],
    [text.quota, quotaText(limits.bulk_quota, visit)],
  ];
  const nothing = html`<p class="muted">${text.nothing}</p>`;
  const list = (items: readonly Html[]) =>
    items.length === 0 ? nothing : html`<ul class="plain">${items}</ul>`;
  return html`<div class="title-row"><h1>${account.name}</h1>
<p class="buttons"><a class="button" href="${at('edit')}">${text.edit}</a> <a class="button primary" href="${at('portal-link')}">${text.link}</a></p></div>
<section class="card wide-facts"><h2>${text.facts}</h2>
<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>
<div class="activity">
<section><div class="title-row"><h2>${text.exports}</h2>${runbookLink('exports', visit)}</div>${list(
    exports.map(
      ({ id: exportId, format, resources, status, error, created_at: created }) =>
        html`<li><span class="id">${exportId}</span> ${jobName({ resources, format }, visit)} ${statusBadge(status, visit)} <span class="muted">${time(created)}</span>${error && html`<br><span lang="en">${error.message}</span>`}</li>`,
    ),
  )}</section>
<section><div class="title-row"><h2>${text.bulk}</h2>${runbookLink('bulk', visit)}</div>${list(
    bulk.map(
      ({ job_id: jobId, status, resource, operation, error, created_at: created }) =>
        html`<li><span class="id">${jobId}</span> ${operation} · ${resource} ${statusBadge(status, visit)} <span class="muted">${time(created)}</span>${error && html`<br><span lang="en">${error.message}</span>`}</li>`,
    ),
  )}</section>
<section><div class="title-row"><h2>${text.webhooks}</h2>${runbookLink('endpoints', visit)}</div>${list(
    webhooks.map(
      ({ id: webhookId, url, status, failing_since: since }) =>
        html`<li><span class="url">${url}</span><br><span class="id">${webhookId}</span> ${since === null || status !== 'active' ? statusBadge(status, visit) : html`${badge('amber', text.failing)} <span class="muted">${text.behind} ${time(since)}</span>`}</li>`,
    ),
  )}</section>
<section><h2>${text.events}</h2>${list(
    events.map(
      ({ id: eventId, type, timestamp }) =>
        html`<li><strong>${type}</strong> <span class="muted">${time(timestamp)}</span><br><span class="id">${eventId}</span></li>`,
    ),
  )}</section>
</div>
<section><div class="title-row"><h2>${text.audit}</h2><a href="${visit.href(`/dashboard/operator/audit?account_id=${id}`)}">${text.allAudit}</a></div>
${audit.length === 0 ? nothing : auditTable(audit, visit, false)}</section>
${sessionsHtml(activity, visit)}`;
}

function sessionsHtml({ account: { id }, sessions }: Activity, visit: Visit): Html {
  const text = visit.text.operator.account;
  const columns = text.sessionColumns;
  const { time } = visit.formats;
  const path = `${ACCOUNTS_PATH}/${id}/sessions`;
  if (sessions.length === 0) {
    return html`<section><h2>${text.sessions}</h2><p class="muted">${text.nothing}</p>${endAll(path, visit)}</section>`;
  }
  return html`<section><h2>${text.sessions}</h2>
<table class="list"><thead><tr><th scope="col">${columns.session}</th><th scope="col">${columns.seen}</th><th scope="col" class="wide">${columns.ends}</th><th><span class="hidden">${text.endOne}</span></th></tr></thead>
<tbody>${sessions.map(
    (each) =>
      html`<tr><th scope="row"><span class="id">${each.id}</span><small>${each.key_id === null ? text.by.link : text.by.key}</small></th><td>${time(each.last_seen_at)}</td><td class="wide">${time(each.expires_at)}</td>
<td class="number"><form class="row-form" method="post" action="${visit.href(`${path}/${each.id}/end`)}">${csrfField(visit.session)}<button aria-label="${text.endOne} ${each.id}">${text.endOne}</button></form></td></tr>`,
  )}</tbody></table>
${endAll(path, visit)}</section>`;
}

/** Shown even without a session, because it also revokes links that are not used yet. */
function endAll(path: string, visit: Visit): Html {
  const text = visit.text.operator.account;
  return confirmedForm(visit, {
    action: visit.href(`${path}/end`),
    title: text.endAll,
    question: text.endAllQuestion,
  });
}
