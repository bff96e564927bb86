import { livePage } from '../frame/live-page.ts';
import { type DashboardPage, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { JOBS_PATH, JOBS_PER_PAGE, type JobList, jobListBody } from './job-list.ts';
import { isEnded, isMoving, type Job, type JobFacts, jobBody, type Result } from './job-page.ts';
import { resultsFile, resultsPage } from './results-page.ts';

/** Interval of a page's requests for changes. */
const LIST_SECONDS = 5;
const MOVING_SECONDS = 1;
const STILL_SECONDS = 15;

/** Limits of codes with examples, and of examples. */
const MAX_SAMPLED_CODES = 5;
const SAMPLES = 3;

/** The list of an account's bulk jobs, and the page of each job. */
export function bulkPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const read = { needs: 'bulk:read', section: JOBS_PATH, styles: 'bulk.css' } as const;
  const path = `${JOBS_PATH}/{id}`;
  return [
    ...livePage(
      {
        ...read,
        path: JOBS_PATH,
        title: (_, { text }) => text.bulk.list.title,
        everySeconds: () => LIST_SECONDS,
        read: readList,
        body: jobListBody,
      },
      deps,
    ),
    ...livePage(
      {
        ...read,
        path,
        title: ({ job }, { text }) => `${text.bulk.title(job.operation, job.resource)} · ${job.job_id}`,
        everySeconds: ({ job }) => (isMoving(job) ? MOVING_SECONDS : STILL_SECONDS),
        read: readJob,
        body: jobBody,
      },
      deps,
    ),
    {
      method: 'GET',
      path: `${path}/results`,
      needs: 'bulk:read',
      handle: (visit) => resultsPage(visit, deps),
    },
    { method: 'GET', path: `${path}/results/file`, needs: 'bulk:read', handle: resultsFile },
    command('pause', 'pauseBulkOperation'),
    command('resume', 'resumeBulkOperation'),
    command('cancel', 'cancelBulkOperation'),
  ];
}

function command(
  name: 'pause' | 'resume' | 'cancel',
  operationId: 'pauseBulkOperation' | 'resumeBulkOperation' | 'cancelBulkOperation',
): DashboardPage {
  return {
    method: 'POST',
    path: `${JOBS_PATH}/{id}/${name}`,
    needs: 'bulk:write',
    async handle(visit) {
      const id = visit.request.param('id');
      await visit.send(operationId, { params: { id } });
      return seeOther(`${JOBS_PATH}/${id}`);
    },
  };
}

function readList(visit: Visit): Promise<JobList> {
  const [status, cursor] = [visit.query.get('status'), visit.query.get('cursor')];
  return visit.ask<JobList>('listBulkOperations', {
    query: {
      limit: JOBS_PER_PAGE,
      ...(status === null ? {} : { status }),
      ...(cursor === null ? {} : { cursor }),
    },
  });
}

async function readJob(visit: Visit): Promise<JobFacts> {
  const params = { id: visit.request.param('id') };
  const job = await visit.ask<Job>('getBulkOperation', { params });
  // A running job shows its latest failures. Its results are searched once they are final.
  const codes = isEnded(job) ? job.error_summary.slice(0, MAX_SAMPLED_CODES).map(({ code }) => code) : [];
  const samples = await Promise.all(
    codes.map(async (code) => {
      const query = { status: 'failed', code, limit: SAMPLES };
      const { data } = await visit.ask<{ data: Result[] }>('listBulkResults', { params, query });
      return [code, data] as const;
    }),
  );
  return { job, samples: new Map(samples) };
}
