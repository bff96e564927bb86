import type { Pool } from 'pg';
import { readQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { cancelBulkJob } from '../../../shared/control/bulk/end-job.ts';
import { type Asked, isEnded, pauseBulkJob, resumeBulkJob } from '../../../shared/control/bulk/pause-job.ts';
import type { BulkStatus } from '../../../shared/domain/bulk.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { changeRecorded } from '../http/audit-log.ts';
import type { Caller } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type ResponseSpec, type Route } from '../http/route.ts';
import { exampleJob } from './examples.ts';
import { bulkJobSchema, presentBulkJob } from './response.ts';
import { type BulkJobRow, noBulkJob, requireBulkJob } from './store.ts';

/** Dependencies of the routes that change a bulk job's status. */
export interface JobCommandDeps {
  readonly catalog: Catalog;
  readonly pool: Pool;
  /** Call it after a commit that left messages in the outbox. */
  readonly notifyRelay: () => void;
  readonly now: () => number;
}

/** Longest wait for a cancel to take effect. Otherwise the job ends shortly after the response. */
const CANCEL_WAIT_MS = 5_000;
const CANCEL_POLL_MS = 50;

const JOB_HEADERS = { 'retry-after': '1' };

/** Cancel, pause and resume of a bulk job. */
export function jobCommandRoutes(deps: JobCommandDeps): Route[] {
  const { pool } = deps;
  const spec = {
    method: 'POST',
    tag: 'bulk',
    access: 'bulk:write',
    account: 'any',
    params: { id: 'ID of the bulk job.' },
    example: { params: { id: EXAMPLE.job } },
    problems: { conflict: 'The job has ended or is about to. `job_status` is its status.' },
  } as const;
  const accepted = (
    description: string,
    status: 'cancelled' | 'paused' | 'pending',
  ): Record<number, ResponseSpec> => ({
    202: {
      description,
      schema: bulkJobSchema,
      example: exampleJob(deps.catalog, status),
      headers: ['Retry-After'],
    },
  });
  /** Runs the command and records it, in one transaction. @throws AppError like `requireStatus` */
  const command = (
    {
      caller,
      accountId,
      id,
    }: { readonly caller: Caller; readonly accountId: string | null; readonly id: string },
    action: 'bulk.paused' | 'bulk.resumed' | 'bulk.cancelled',
    allowed: readonly BulkStatus[],
    run: (db: Queryable) => Promise<Asked>,
  ): Promise<BulkJobRow> =>
    changeRecorded(pool, { caller, action, id }, async (db) => {
      requireStatus(id, await run(db), allowed);
      return requireBulkJob(db, accountId, id);
    });
  const present = async (row: BulkJobRow) =>
    presentBulkJob(row, await readQuota(pool, row.account_id, deps.now()));

  return [
    defineRoute({
      ...spec,
      path: '/bulk/operations/{id}/cancel',
      operationId: 'cancelBulkOperation',
      summary: 'Cancel a bulk job; finished items stay changed; safe to repeat',
      description: 'Stops the job. Items that are finished stay changed.',
      responses: accepted(
        'The job. It is still running while Tandem waits for handlers that were already called, else cancelled.',
        'cancelled',
      ),
      async handle({ param, accountId, caller }) {
        const id = param('id');
        const allowed = ['cancelled', 'pending', 'running', 'paused'] as const;
        let row = await command({ caller, accountId, id }, 'bulk.cancelled', allowed, (db) =>
          cancelBulkJob(db, accountId, id),
        );
        deps.notifyRelay();
        const deadlineAtMs = performance.now() + CANCEL_WAIT_MS;
        while (!isEnded(row.status) && performance.now() < deadlineAtMs) {
          await sleep(CANCEL_POLL_MS);
          row = await requireBulkJob(pool, accountId, id);
        }
        return jsonResponse(202, await present(row), JOB_HEADERS);
      },
    }),
    defineRoute({
      ...spec,
      path: '/bulk/operations/{id}/pause',
      operationId: 'pauseBulkOperation',
      summary: 'Pause a bulk job; claimed chunks still finish; safe to repeat',
      description: 'Stops the job until it is resumed. Chunks that workers have claimed still finish.',
      responses: accepted('The bulk job.', 'paused'),
      async handle({ param, accountId, caller }) {
        const id = param('id');
        const row = await command({ caller, accountId, id }, 'bulk.paused', ['paused'], (db) =>
          pauseBulkJob(db, accountId, id),
        );
        return jsonResponse(202, await present(row), JOB_HEADERS);
      },
    }),
    defineRoute({
      ...spec,
      path: '/bulk/operations/{id}/resume',
      operationId: 'resumeBulkOperation',
      summary: 'Resume a paused bulk job; safe to repeat',
      description:
        'Continues a job that a request has paused. A job that waits for its quota, its handler or the feed continues by itself.',
      responses: accepted('The bulk job.', 'pending'),
      async handle({ param, accountId, caller }) {
        const id = param('id');
        const row = await command({ caller, accountId, id }, 'bulk.resumed', ['running', 'pending'], (db) =>
          resumeBulkJob(db, accountId, id, deps.now()),
        );
        return jsonResponse(202, await present(row), JOB_HEADERS);
      },
    }),
  ];
}

/** @throws AppError `not_found`, or `conflict` for a job that has ended or is ending */
function requireStatus(id: string, status: Asked, allowed: readonly BulkStatus[]): void {
  if (status === undefined) throw noBulkJob(id);
  if (allowed.includes(status)) return;
  const why = isEnded(status) ? `is ${status}, so its status is final` : 'is about to end';
  throw new AppError('conflict', `The bulk job ${why}.`, {
    extra: { job_status: status },
  });
}
