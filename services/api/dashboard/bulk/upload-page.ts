import type { z } from 'zod';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { bulkFileSchema } from '../../bulk/response.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { DashboardPage, VisitDeps } from '../frame/visit.ts';
import { JOBS_PATH } from './job-list.ts';
import { readPage, showForm } from './new-job-pages.ts';

/** Receives a file of IDs, and shows the job's form with the file's contents. */
export function uploadPage(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage {
  return {
    method: 'POST',
    path: `${JOBS_PATH}/new/{resource}/{operation}/file`,
    needs: 'bulk:write',
    takesFile: true,
    async handle(visit) {
      const facts = await readPage(visit, new URLSearchParams({ by: 'file' }));
      const { file: rawBody, text } = visit;
      if (rawBody === undefined) {
        const faults = [{ place: 'upload', detail: text.bulk.create.noFile }];
        return showForm(facts, { faults, status: PROBLEMS.invalid.status }, visit, deps);
      }
      try {
        const query = { resource: facts.resource.name };
        const file = await visit.ask<z.output<typeof bulkFileSchema>>('createBulkFile', { query, rawBody });
        return showForm(facts, { file }, visit, deps);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        const faults = error.errors.map(({ detail }) => ({ place: '', detail }));
        return showForm(facts, { error, faults, status: PROBLEMS[error.code].status }, visit, deps);
      }
    },
  };
}
