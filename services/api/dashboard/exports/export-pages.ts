import { flag, type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { type DashboardPage, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { exportRows } from './export-list.ts';
import { type ChunkCounts, exportBody, isMoving } from './export-page.ts';
import type { Export, ExportList } from './export-types.ts';

const SECTION = '/dashboard/exports';
const PAGE_SIZE = 20;

/** How often a page asks for what has changed: a running export moves each second. */
const LIST_SECONDS = 5;
const MOVING_SECONDS = 1;
const ENDED_SECONDS = 15;

const STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled', 'expired'] as const;

/**
 * A link to a file outlives the session that got it, and the page's button follows it at once: it opens for as long as a
 * slow browser takes to follow.
 */
const LINK_SECONDS = 30;

/** The exports of an account, and each of them while it runs and afterwards. */
export function exportPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const read = { needs: 'exports:read' } as const;
  const write = { method: 'POST', needs: 'exports:write' } as const;
  return [
    ...livePage(
      {
        path: SECTION,
        ...read,
        section: SECTION,
        title: (_, { text }) => text.exports.list.title,
        everySeconds: () => LIST_SECONDS,
        read: readList,
        body: listBody,
      },
      deps,
    ),
    ...livePage(
      {
        path: `${SECTION}/{id}`,
        ...read,
        section: SECTION,
        title: ({ details }) => `${details.resources[0]} · ${details.id}`,
        everySeconds: ({ details }) => (isMoving(details) ? MOVING_SECONDS : ENDED_SECONDS),
        read: readExport,
        body: exportBody,
      },
      deps,
    ),
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/{id}/files/{name}`,
      handle: (visit) =>
        visit.send('getExportFile', {
          params: { id: visit.request.param('id'), name: visit.request.param('name') },
          query: { expires_in: LINK_SECONDS },
        }),
    },
    {
      ...write,
      path: `${SECTION}/{id}/cancel`,
      handle: (visit) => change(visit, 'cancelExport'),
    },
    {
      ...write,
      path: `${SECTION}/{id}/delete`,
      handle: (visit) => change(visit, 'deleteExport'),
    },
  ];
}

async function change(visit: Visit, operationId: 'cancelExport' | 'deleteExport') {
  const id = visit.request.param('id');
  await visit.send(operationId, { params: { id } });
  return seeOther(`${SECTION}/${id}`);
}

async function readExport(visit: Visit): Promise<{ details: Export; chunks: ChunkCounts | undefined }> {
  const params = { id: visit.request.param('id') };
  const details = await visit.ask<Export>('getExport', { params });
  // Those that have ended keep no chunks that say more than their files.
  const chunks =
    details.status === 'running'
      ? await visit.ask<ChunkCounts>('listExportChunks', { params, query: { limit: 1 } })
      : undefined;
  return { details, chunks };
}

function readList(visit: Visit): Promise<ExportList> {
  const [status, cursor] = [visit.query.get('status'), visit.query.get('cursor')];
  return visit.ask<ExportList>('listExports', {
    query: {
      limit: PAGE_SIZE,
      ...(status === null ? {} : { status }),
      ...(cursor === null ? {} : { cursor }),
    },
  });
}

function listBody(list: ExportList, live: Live, visit: Visit): Html {
  const text = visit.text.exports.list;
  const status = visit.query.get('status');
  const path = (query: Readonly<Record<string, string>>) => {
    const search = new URLSearchParams(query).toString();
    return visit.href(search === '' ? SECTION : `${SECTION}?${search}`);
  };
  const filtered: Record<string, string> = status === null ? {} : { status };
  const older = list.next_cursor;
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('exports:write') ? html`<a class="button primary" href="${visit.href(`${SECTION}/new`)}">${text.create}</a>` : null}</div>
<nav class="filters" aria-label="${text.filter}"><ul>
<li><a href="${path({})}"${flag('aria-current="true"', status === null)}>${text.all}</a></li>
${STATUSES.map((each) => html`<li><a href="${path({ status: each })}"${flag('aria-current="true"', status === each)}>${visit.text.frame.status[each]}</a></li>`)}
</ul></nav>
${list.data.length === 0 && status !== null ? html`<p class="muted">${text.noneOfStatus}</p>` : exportRows(list.data, live, visit)}
<p class="choices">${visit.query.has('cursor') ? html`<a class="button" href="${path(filtered)}">${text.newest}</a>` : null}
${older && html`<a class="button" href="${path({ ...filtered, cursor: older })}">${text.older}</a>`}</p>`;
}
