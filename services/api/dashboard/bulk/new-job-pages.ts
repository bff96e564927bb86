import { createHash, randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { parseExactJson } from '../../../../shared/domain/exact-json.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { bulkAcceptedSchema, bulkDryRunSchema } from '../../bulk/response.ts';
import { canonicalJson, readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import { faultWords } from '../frame/fault-words.ts';
import { dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { choicesBody } from './choose-operation.ts';
import type { FormPage, PageFacts } from './form-page.ts';
import { JOBS_PATH } from './job-list.ts';
import type { Job, Result } from './job-page.ts';
import {
  type Fault,
  MAX_ROWS,
  placeFaults,
  type Resource,
  readJobRequest,
  SELECTIONS,
} from './job-request.ts';
import type { Account } from './limits.ts';
import { newJobBody } from './new-job-form.ts';

/** Limit of resources on the page of operations: more than a catalog has. */
const MAX_RESOURCES = 200;

/** Size of a form with the largest number of UUIDs that a request may name. */
const MAX_FORM_BYTES = 524_288;

/** Results per request. */
const RESULTS_PER_PAGE = 1_000;

type DryRun = z.output<typeof bulkDryRunSchema>;

/** Pages to choose an operation and then its records. Only a previewed request can be started. */
export function newJobPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const write = { needs: 'bulk:write' } as const;
  const path = `${JOBS_PATH}/new/{resource}/{operation}`;
  return [
    { ...write, method: 'GET', path: `${JOBS_PATH}/new`, handle: (visit) => showChoices(visit, deps) },
    {
      ...write,
      method: 'GET',
      path,
      handle: async (visit) => showForm(await readPage(visit, visit.query), {}, visit, deps),
    },
    {
      ...write,
      method: 'POST',
      path,
      maxFormBytes: MAX_FORM_BYTES,
      handle: async (visit) => handleForm(await readPage(visit, visit.form), visit, deps),
    },
  ];
}

async function showChoices(visit: Visit, deps: Pick<VisitDeps, 'frameAncestors'>): Promise<ApiResponse> {
  const query = { limit: MAX_RESOURCES };
  const { data } = await visit.ask<{ data: Resource[] }>('listResources', { query });
  const account = await visit.ask<Account>('getAccount');
  const page = {
    title: visit.text.bulk.create.title,
    section: JOBS_PATH,
    styles: 'bulk.css',
    body: choicesBody(data, account, visit),
  };
  return pageResponse(dashboardPage(visit, visit.session, page), deps);
}

/** @param chosen the query of the page, or its form */
export async function readPage(visit: Visit, chosen: URLSearchParams): Promise<PageFacts> {
  const name = visit.request.param('resource');
  const resource = await visit.ask<Resource>('getResource', { params: { name } });
  const operation = resource.operations.find((each) => each.name === visit.request.param('operation'));
  if (operation === undefined) throw new AppError('not_found', visit.text.bulk.create.noOperation);
  const account = await visit.ask<Account>('getAccount');
  const asked = SELECTIONS.find((each) => each === chosen.get('by')) ?? 'filter';
  const isById = asked !== 'filter' && asked !== 'all';
  const by = isById && !resource.selectable_by_ids ? 'filter' : asked;
  const failedOf =
    by === 'failed' ? await readFailed(visit, chosen.get('failed_of') ?? '', resource, account) : undefined;
  return { resource, operation, account, by, failedOf };
}

/**
 * The failed items of a job, as many as a request may name. IDs that no record can have are left out, because they
 * would fail again.
 */
async function readFailed(
  visit: Visit,
  id: string,
  { name }: Resource,
  { limits }: Account,
): Promise<PageFacts['failedOf']> {
  const params = { id };
  const job = await visit.ask<Job>('getBulkOperation', { params });
  if (job.resource !== name) throw new AppError('not_found', visit.text.bulk.create.otherResource(name));
  const ids: string[] = [];
  if (job.failed > limits.max_bulk_ids) return { job, ids };
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const query = { status: 'failed', limit: RESULTS_PER_PAGE, ...(cursor === undefined ? {} : { cursor }) };
    const page = await visit.ask<{ data: Result[]; has_more: boolean; next_cursor: string | null }>(
      'listBulkResults',
      { params, query },
    );
    ids.push(...page.data.flatMap(({ item_id: item, code }) => (code === 'invalid_id' ? [] : [item])));
    // The results of a running job never reach a last page.
    cursor = page.data.length === 0 ? null : page.next_cursor;
  }
  return { job, ids };
}

/** The result of a submitted form. */
type Outcome = Pick<FormPage, 'faults' | 'error' | 'preview' | 'file'> & { readonly status?: number };

export function showForm(
  facts: PageFacts,
  { status = 200, ...outcome }: Outcome,
  visit: Visit,
  deps: Pick<VisitDeps, 'frameAncestors'>,
): ApiResponse {
  const { bulk } = visit.text;
  const page = {
    title: `${bulk.title(facts.operation.name, facts.resource.name)} · ${bulk.create.title}`,
    section: JOBS_PATH,
    styles: 'bulk.css',
    module: 'bulk.js',
    body: newJobBody({ ...facts, ...outcome, form: visit.form }, visit),
  };
  return pageResponse(dashboardPage(visit, visit.session, page), deps, status);
}

async function handleForm(
  facts: PageFacts,
  visit: Visit,
  deps: Pick<VisitDeps, 'frameAncestors'>,
): Promise<ApiResponse> {
  const { form } = visit;
  const asked = form.get('do') ?? 'preview';
  const removed = /^remove\.(\d+)$/.exec(asked)?.[1];
  if (asked === 'add' || removed !== undefined) {
    changeRows(form, removed === undefined ? undefined : Number(removed));
    return showForm(facts, {}, visit, deps);
  }
  const { body, faults } = readJobRequest(form, {
    ...facts,
    failedIds: facts.failedOf?.ids ?? [],
    maxIds: facts.account.limits.max_bulk_ids,
    text: visit.text.bulk.create,
    number: visit.formats.number,
  });
  if (faults.length > 0) {
    // The form's JSON is parsed like a request body.
    const said = faults.map(({ place, detail }) => ({ place, detail: faultWords(detail, visit.text) }));
    return showForm(facts, { faults: said, status: PROBLEMS.invalid.status }, visit, deps);
  }
  const print = createHash('sha256').update(canonicalJson(body)).digest('base64url');
  try {
    const isPreviewed = form.get('previewed') === print;
    if (asked === 'start' && isPreviewed) {
      const idempotencyKey = readIdempotencyKey(form.get('request') ?? undefined) ?? randomUUID();
      const { job_id: id } = await visit.ask<z.output<typeof bulkAcceptedSchema>>('createBulkOperation', {
        body,
        idempotencyKey,
      });
      return seeOther(`${JOBS_PATH}/${id}`);
    }
    const sent = await visit.send('createBulkOperation', { body: { ...body, dry_run: true } });
    // Numbers of records are shown with all their digits.
    const run = parseExactJson(String(sent.body)) as DryRun;
    return showForm(facts, { preview: { run, print, hasChanged: asked === 'start' } }, visit, deps);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const placed: Fault[] = placeFaults(error.errors, form);
    return showForm(facts, { error, faults: placed, status: PROBLEMS[error.code].status }, visit, deps);
  }
}

/** Adds an empty condition, or removes one. */
function changeRows(form: URLSearchParams, removed: number | undefined): void {
  const names = ['field', 'operator', 'value'];
  let last = 0;
  while (last + 1 < MAX_ROWS && form.has(`field.${last + 1}`)) last += 1;
  if (removed === undefined) {
    form.set(`field.${last + 1}`, '');
    return;
  }
  for (let index = removed; index <= last; index += 1) {
    for (const name of names) {
      const next = form.get(`${name}.${index + 1}`);
      if (next === null) form.delete(`${name}.${index}`);
      else form.set(`${name}.${index}`, next);
    }
  }
}
