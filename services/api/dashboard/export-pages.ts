import type { z } from 'zod';
import type { exportSchema } from '../exports/response.ts';
import { flag, type Html, html } from '../pages/html.ts';
import { exportRows } from './export-list.ts';
import { type ChunkCounts, exportBody, isMoving } from './export-page.ts';
import { dashboardPage } from './layout.ts';
import { type Live, renderLive } from './live.ts';
import { MESSAGES } from './messages.ts';
import {
  type DashboardPage,
  liveResponse,
  pageResponse,
  seeOther,
  type Visit,
  type VisitDeps,
} from './visit.ts';

type Export = z.output<typeof exportSchema>;

interface ExportList {
  readonly data: readonly Export[];
  readonly next_cursor: string | null;
}

const SECTION = '/dashboard/exports';
const PAGE_SIZE = 20;

/** How often a page asks for what has changed: a running export moves each second. */
const LIST_SECONDS = 5;
const MOVING_SECONDS = 1;
const ENDED_SECONDS = 15;

const STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled', 'expired'] as const;

/** The exports of an account, and each of them while it runs and afterwards. */
export function exportPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const read = { needs: 'exports:read' } as const;
  const write = { method: 'POST', needs: 'exports:write' } as const;
  return [
    {
      ...read,
      method: 'GET',
      path: SECTION,
      async handle(visit) {
        const list = await readList(visit);
        const { content, state } = renderLive((live) => listBody(list, live, visit));
        const { querystring } = visit.request;
        const live = {
          path: `${SECTION}/live${querystring === '' ? '' : `?${querystring}`}`,
          everySeconds: LIST_SECONDS,
          state,
        };
        const page = { title: MESSAGES.exports.title, section: SECTION, body: content, live };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/live`,
      isLive: true,
      async handle(visit) {
        const list = await readList(visit);
        return liveResponse((live) => listBody(list, live, visit));
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/{id}`,
      async handle(visit) {
        const facts = await readExport(visit);
        const { content, state } = renderLive((live) => exportBody(facts, live, visit));
        const { id } = facts.details;
        const live = {
          path: `${SECTION}/${id}/live`,
          everySeconds: isMoving(facts.details) ? MOVING_SECONDS : ENDED_SECONDS,
          state,
        };
        const page = {
          title: `${facts.details.resources[0]} · ${id}`,
          section: SECTION,
          body: content,
          live,
        };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/{id}/live`,
      isLive: true,
      async handle(visit) {
        const facts = await readExport(visit);
        return liveResponse((live) => exportBody(facts, live, visit));
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/{id}/files/{name}`,
      handle: (visit) =>
        visit.send('getExportFile', {
          params: { id: visit.request.param('id'), name: visit.request.param('name') },
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
  const text = MESSAGES.exports;
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
${STATUSES.map((each) => html`<li><a href="${path({ status: each })}"${flag('aria-current="true"', status === each)}>${MESSAGES.status[each]}</a></li>`)}
</ul></nav>
${list.data.length === 0 && status !== null ? html`<p class="muted">${text.noneOfStatus}</p>` : exportRows(list.data, live, visit)}
<p class="choices">${visit.query.has('cursor') ? html`<a class="button" href="${path(filtered)}">${text.newest}</a>` : null}
${older && html`<a class="button" href="${path({ ...filtered, cursor: older })}">${text.older}</a>`}</p>`;
}
