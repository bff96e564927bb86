import type { z } from 'zod';
import { type Html, html } from '../../pages/html.ts';
import type { statusSchema } from '../../status/response.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { timeOf } from '../frame/parts.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';

type Status = z.output<typeof statusSchema>;

const EVERY_SECONDS = 3;

/** What the operator sees first: what runs, what waits, and what makes it slow. */
export function statusPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const page = {
    path: '/dashboard/operator',
    needs: undefined,
    section: '/dashboard/operator',
    title: (_: Status, { text }: Visit) => text.operator.status.title,
    everySeconds: () => EVERY_SECONDS,
    read: (visit: Visit) => visit.ask<Status>('getStatus'),
    body,
  };
  return livePage(page, deps);
}

function body({ processes }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  return html`<h1>${text.title}</h1>
<ul>${processes?.map(
    ({ id, service, started_at: since }) =>
      html`<li>${service} ${timeOf(live, visit, `up-${id}`, since)}</li>`,
  )}</ul>`;
}
