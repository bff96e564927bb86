import type { z } from 'zod';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { accountOverviewSchema } from '../../account/response.ts';
import { PROBLEMS } from '../../http/problem.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { type Live, renderLive } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { listLinks } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { secretBody } from '../webhooks/form-pages.ts';
import { createEndpoint } from './continue-feed.ts';
import { exportRows } from './export-list.ts';
import { type ExportFacts, exportBody, isMoving } from './export-page.ts';
import type { Ahead, Chunks } from './export-progress.ts';
import type { Export, ExportList } from './export-types.ts';

const SECTION = '/dashboard/exports';
const STYLES = 'exports.css';
const PAGE_SIZE = 20;

/** Limit of exports searched for others of the same resources. */
const MAX_SEARCHED = 50;
const MAX_OTHERS = 5;

/** Interval of a page's requests for changes: a running export changes every second. */
const LIST_SECONDS = 5;
const MOVING_SECONDS = 1;
const ENDED_SECONDS = 15;

const STATUSES = ['pending', 'running', 'paused', 'completed', 'failed', 'cancelled', 'expired'] as const;

/**
 * Validity of a download link. A link outlives its session, and the button follows it at once, so it only covers a slow
 * browser.
 */
const LINK_SECONDS = 30;

/** The list of an account's exports, and the page of each export. */
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
        styles: STYLES,
        title: ({ details }) => titleOf(details),
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
      method: 'POST',
      path: `${SECTION}/{id}`,
      needs: 'webhooks:write',
      handle: (visit) => continueFrom(visit, deps),
    },
    {
      ...write,
      path: `${SECTION}/{id}/cancel`,
      handle: (visit) => change(visit, 'cancelExport'),
    },
    {
      ...write,
      path: `${SECTION}/{id}/pause`,
      handle: (visit) => change(visit, 'pauseExport'),
    },
    {
      ...write,
      path: `${SECTION}/{id}/resume`,
      handle: (visit) => change(visit, 'resumeExport'),
    },
    {
      ...write,
      path: `${SECTION}/{id}/delete`,
      handle: (visit) => change(visit, 'deleteExport'),
    },
  ];
}

async function change(
  visit: Visit,
  operationId: 'cancelExport' | 'pauseExport' | 'resumeExport' | 'deleteExport',
) {
  const id = visit.request.param('id');
  await visit.send(operationId, { params: { id } });
  return seeOther(`${SECTION}/${id}`);
}

function titleOf({ id, resources }: Export): string {
  return `${resources[0]} · ${id}`;
}

/** Creates the endpoint that continues the export. Its secret is shown only in this response. */
async function continueFrom(visit: Visit, deps: Pick<VisitDeps, 'frameAncestors'>) {
  const text = visit.text.exports.proceed;
  const facts = await readExport(visit);
  const { details } = facts;
  const url = visit.form.get('url')?.trim() ?? '';
  const page = { section: SECTION, styles: STYLES };
  try {
    const made = await createEndpoint(details, url, visit);
    const body = html`${secretBody(text.created, made, visit)}
<p><a href="${visit.href(`${SECTION}/${details.id}`)}">${text.toExport}</a></p>`;
    return pageResponse(dashboardPage(visit, visit.session, { ...page, title: text.created, body }), deps);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { content: body } = renderLive((live) => exportBody(facts, live, visit, { url, error }));
    const again = dashboardPage(visit, visit.session, { ...page, title: titleOf(details), body });
    return pageResponse(again, deps, PROBLEMS[error.code].status);
  }
}

async function readExport(visit: Visit): Promise<ExportFacts> {
  const params = { id: visit.request.param('id') };
  const details = await visit.ask<Export>('getExport', { params });
  switch (details.status) {
    case 'pending':
      return { details, ahead: await readAhead(details, visit) };
    case 'running':
    case 'paused':
    case 'cancelling':
      return {
        details,
        chunks: await visit.ask<Chunks>('listExportChunks', { params, query: { limit: 1 } }),
      };
    default:
      return { details, others: await readOthers(details, visit) };
  }
}

/** The jobs that run, and those queued before this one. */
async function readAhead({ id }: Export, visit: Visit): Promise<Ahead[]> {
  const { exports } = await visit.ask<z.output<typeof accountOverviewSchema>>('getAccount');
  const jobs = exports?.jobs ?? [];
  const place = jobs.findIndex((job) => job.id === id);
  return place === -1 ? [] : jobs.slice(0, place);
}

/** Exports of the same set of resources, newest first. */
async function readOthers({ id, resources }: Export, visit: Visit): Promise<Export[]> {
  const query = { limit: MAX_SEARCHED, kind: 'records', resource: resources[0] ?? '' };
  const { data } = await visit.ask<ExportList>('listExports', { query });
  const wanted = new Set(resources);
  const isOfSame = (each: Export) =>
    each.resources.length === wanted.size && each.resources.every((name) => wanted.has(name));
  return data.filter((each) => each.id !== id && isOfSame(each)).slice(0, MAX_OTHERS);
}

function readList(visit: Visit): Promise<ExportList> {
  const cursor = visit.query.get('cursor');
  return visit.ask<ExportList>('listExports', {
    query: { limit: PAGE_SIZE, kind: 'records', ...filterOf(visit), ...(cursor === null ? {} : { cursor }) },
  });
}

/** The list's filter in the URL. */
function filterOf({ query }: Visit): Record<string, string> {
  return Object.fromEntries(
    ['status', 'resource'].flatMap((name) => {
      const value = query.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
}

function listBody(list: ExportList, live: Live, visit: Visit): Html {
  const text = visit.text.exports.list;
  const filter = filterOf(visit);
  const { status, resource } = filter;
  const path = (query: Readonly<Record<string, string>>) => {
    const search = new URLSearchParams(query).toString();
    return visit.href(search === '' ? SECTION : `${SECTION}?${search}`);
  };
  const ofResource: Record<string, string> = resource === undefined ? {} : { resource };
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('exports:write') ? html`<a class="button primary" href="${visit.href(`${SECTION}/new`)}">${text.create}</a>` : null}</div>
${resource === undefined ? null : html`<p>${text.withResource(resource)} <a href="${path(status === undefined ? {} : { status })}">${text.anyResource}</a></p>`}
<nav class="filters" aria-label="${text.filter}"><ul>
<li><a href="${path(ofResource)}"${flag('aria-current="true"', status === undefined)}>${text.all}</a></li>
${STATUSES.map((each) => html`<li><a href="${path({ status: each, ...ofResource })}"${flag('aria-current="true"', status === each)}>${visit.text.frame.status[each]}</a></li>`)}
</ul></nav>
${list.data.length === 0 && Object.keys(filter).length > 0 ? html`<p class="empty">${text.noneOfStatus}</p>` : exportRows(list.data, live, visit)}
${listLinks(visit, { path: SECTION, fields: filter, next: list.next_cursor, words: { first: text.newest, next: text.older } })}`;
}
