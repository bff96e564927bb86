import type { z } from 'zod';
import type { accountOverviewSchema } from '../../account/response.ts';
import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';

export type Account = z.output<typeof accountOverviewSchema>;

/** The limits of a new job, shown before the form is filled in. */
export function limitsCard(
  { bulk_quota: quota, bulk_operations: jobs, limits }: Account,
  visit: Visit,
): Html | null {
  const text = visit.text.bulk.create;
  const { number, time } = visit.formats;
  // A session may have the right to start jobs without the right to see them.
  if (quota === null || jobs === null) return null;
  const running = jobs.running + jobs.paused;
  const isFull = jobs.queued >= limits.max_queued_bulk_operations;
  const warnings = [
    isFull && text.queueFull,
    !isFull && running >= limits.max_running_bulk_operations && text.willWait,
    quota.remaining === 0 && text.quotaUsedUp,
  ].filter((warning) => warning !== false);
  return html`<section class="card limits"><h2>${text.limits}</h2>
<dl class="facts">
<div><dt>${text.quota}</dt><dd>${
    quota.limit === null || quota.remaining === null
      ? text.quotaOpen
      : html`${text.quotaLeft(number(quota.remaining), number(quota.limit))} <span class="muted">(${text.resets} ${time(quota.resets_at)})</span>`
  }</dd></div>
<div><dt>${text.jobs}</dt><dd>${text.running(number(running), number(limits.max_running_bulk_operations))}, ${text.queued(number(jobs.queued), number(limits.max_queued_bulk_operations))}</dd></div>
</dl>
${warnings.map((warning) => html`<p class="warning">${warning}</p>`)}</section>`;
}
