import { randomUUID } from 'node:crypto';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import { dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { formOf, isChosen, requestOf } from './export-form.ts';
import type { Estimate, Export, ExportList } from './export-types.ts';
import { type FormFacts, newExportForm, type Outcome, outcomeTexts } from './new-export-form.ts';
import { readResources } from './read-resources.ts';

const PATH = '/dashboard/exports/new';

/** Limit of earlier exports offered for changes_since. An older one is chosen on its own page. */
const MAX_EARLIER = 30;

/** The form of a new export. It shows the estimated size, or why the export can't start. */
export function newExportPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const write = { path: PATH, needs: 'exports:write' } as const;
  const show = async (visit: Visit, form: URLSearchParams, outcome: Outcome) => {
    const page = {
      title: visit.text.exports.create.title,
      section: '/dashboard/exports',
      styles: 'exports.css',
      module: 'new-export.js',
      body: newExportForm(form, await readFacts(form, visit), outcome, visit),
    };
    const { error } = outcome;
    const status = error === undefined ? 200 : PROBLEMS[error.code].status;
    return pageResponse(dashboardPage(visit, visit.session, page), deps, status);
  };
  return [
    {
      ...write,
      method: 'GET',
      async handle(visit) {
        const form = await prefilled(visit);
        return show(visit, form, await estimated(form, visit));
      },
    },
    {
      ...write,
      method: 'POST',
      async handle(visit) {
        const { form } = visit;
        if (form.get('do') === 'estimate') return show(visit, form, await estimated(form, visit, true));
        try {
          const { id } = await visit.ask<Export>('createExport', {
            body: await requestOf(form, visit, false),
            idempotencyKey: readIdempotencyKey(form.get('request') ?? undefined) ?? randomUUID(),
          });
          return seeOther(`/dashboard/exports/${id}`);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          return show(visit, form, { error });
        }
      },
    },
    {
      ...write,
      path: `${PATH}/estimate`,
      method: 'POST',
      isLive: true,
      async handle(visit) {
        return {
          status: 200,
          headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
          body: JSON.stringify(outcomeTexts(await estimated(visit.form, visit), visit)),
        };
      },
    },
  ];
}

/** The form with the fields of an earlier export (`?from=`), or of a link, such as `?changes_since=`. */
async function prefilled({ query, ask }: Visit): Promise<URLSearchParams> {
  const id = query.get('from');
  return id === null ? query : formOf(await ask<Export>('getExport', { params: { id } }));
}

/** @param isAsked whether the visitor asked for an estimate, and is told what is missing for one */
async function estimated(form: URLSearchParams, visit: Visit, isAsked = false): Promise<Outcome> {
  if (!isAsked && !isChosen(form)) return {};
  try {
    const body = await requestOf(form, visit, true);
    return { estimate: await visit.ask<Estimate>('createExport', { body }) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { error };
  }
}

async function readFacts(form: URLSearchParams, visit: Visit): Promise<FormFacts> {
  const { data } = await visit.ask<ExportList>('listExports', {
    query: { limit: MAX_EARLIER, status: 'completed', kind: 'records' },
  });
  const id = form.get('changes_since') ?? '';
  const isListed = id === '' || data.some((each) => each.id === id);
  const feed = visit.may('events:read')
    ? await visit.ask<NonNullable<FormFacts['feed']>>('getFeed')
    : undefined;
  return {
    resources: await readResources(visit),
    // A date range excludes records whose changes would then be reported.
    earlier: data.filter(({ date_range: range }) => range === null),
    unlisted: isListed ? undefined : id,
    feed,
  };
}
