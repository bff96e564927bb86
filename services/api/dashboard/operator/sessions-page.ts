import { html } from '../../pages/html.ts';
import { confirmedForm, csrfField } from '../frame/layout.ts';
import { type DashboardPage, seeOther, type VisitDeps } from '../frame/visit.ts';
import { type PagedList, pagedList } from './paged-list.ts';

const PATH = '/dashboard/operator/sessions';

interface Session {
  readonly id: string;
  readonly created_at: string;
  readonly last_seen_at: string;
  readonly expires_at: string;
}

const LIST: PagedList<Session> = {
  path: PATH,
  operationId: 'listOperatorSessions',
  title: ({ text }) => text.operator.sessions.title,
  body(sessions, visit) {
    const text = visit.text.operator.sessions;
    const { columns } = text;
    const { time } = visit.formats;
    return html`<h1>${text.title}</h1><p class="lead">${text.lead}</p>
<table class="list"><thead><tr><th scope="col">${columns.session}</th><th scope="col">${columns.since}</th><th scope="col" class="wide">${columns.seen}</th><th scope="col" class="wide">${columns.ends}</th><th><span class="hidden">${text.end}</span></th></tr></thead>
<tbody>${sessions.map(
      (each) =>
        html`<tr><th scope="row"><span class="id">${each.id}</span>${each.id === visit.session.id ? html`<small>${text.own}</small>` : null}</th><td>${time(each.created_at)}</td><td class="wide">${time(each.last_seen_at)}</td><td class="wide">${time(each.expires_at)}</td>
<td class="number"><form class="row-form" method="post" action="${visit.href(`${PATH}/${each.id}/end`)}">${csrfField(visit.session)}<button aria-label="${text.end} ${each.id}">${text.end}</button></form></td></tr>`,
    )}</tbody></table>`;
  },
  end(visit) {
    const { endAll, question } = visit.text.operator.sessions;
    return confirmedForm(visit, { action: visit.href(`${PATH}/end`), title: endAll, question });
  },
};

/** The sessions that were opened with the operator's key. */
export function sessionPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    pagedList(LIST, deps),
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
