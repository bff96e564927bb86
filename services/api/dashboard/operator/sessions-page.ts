import { html } from '../../pages/html.ts';
import { confirmedForm, csrfField, dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type VisitDeps } from '../frame/visit.ts';
import { pagesOf } from './paged-list.ts';

const PATH = '/dashboard/operator/sessions';
const PAGE_SIZE = 50;

interface SessionList {
  readonly data: readonly {
    readonly id: string;
    readonly created_at: string;
    readonly last_seen_at: string;
    readonly expires_at: string;
  }[];
  readonly next_cursor: string | null;
}

/** Who has signed in with the operator's key. */
export function sessionPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    {
      method: 'GET',
      path: PATH,
      needs: undefined,
      async handle(visit) {
        const cursor = visit.query.get('cursor');
        const { data, next_cursor: older } = await visit.ask<SessionList>('listOperatorSessions', {
          query: { limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) },
        });
        const text = visit.text.operator.sessions;
        const { columns } = text;
        const { time } = visit.formats;
        const body = html`<h1>${text.title}</h1><p class="lead">${text.lead}</p>
<table class="list"><thead><tr><th scope="col">${columns.session}</th><th scope="col">${columns.since}</th><th scope="col" class="wide">${columns.seen}</th><th scope="col" class="wide">${columns.ends}</th><th><span class="hidden">${text.end}</span></th></tr></thead>
<tbody>${data.map(
          (each) =>
            html`<tr><th scope="row"><span class="id">${each.id}</span>${each.id === visit.session.id ? html`<small>${text.own}</small>` : null}</th><td>${time(each.created_at)}</td><td class="wide">${time(each.last_seen_at)}</td><td class="wide">${time(each.expires_at)}</td>
<td class="number"><form class="row-form" method="post" action="${visit.href(`${PATH}/${each.id}/end`)}">${csrfField(visit.session)}<button aria-label="${text.end} ${each.id}">${text.end}</button></form></td></tr>`,
        )}</tbody></table>
${pagesOf(PATH, older, {}, visit)}
${confirmedForm(visit, { action: visit.href(`${PATH}/end`), title: text.endAll, question: text.question })}`;
        const page = { title: text.title, section: PATH, styles: 'operator.css', body };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
    {
      method: 'POST',
      path: `${PATH}/end`,
      needs: undefined,
      async handle(visit) {
        await visit.send('revokeOperatorSessions');
        return seeOther('/dashboard/operator');
      },
    },
    {
      method: 'POST',
      path: `${PATH}/{session_id}/end`,
      needs: undefined,
      async handle(visit) {
        await visit.send('revokeOperatorSession', {
          params: { session_id: visit.request.param('session_id') },
        });
        return seeOther(PATH);
      },
    },
  ];
}
