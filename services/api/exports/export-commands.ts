import type { Pool } from 'pg';
import { cancelExport } from '../../../shared/control/exports/end-export.ts';
import {
  type PauseRefusal,
  pauseExport,
  resumeExport,
} from '../../../shared/control/exports/pause-export.ts';
import type { ExportStatus } from '../../../shared/control/state-machines.ts';
import { type Catalog, firstResource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { changeRecorded } from '../http/audit-log.ts';
import type { Caller } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { jsonResponse, type TextResponse } from '../http/response.ts';
import { defineRoute, type ResponseSpec, type Route } from '../http/route.ts';
import { exampleExport } from './examples.ts';
import type { Retention } from './feed-start.ts';
import { exportSchema, type LinkDeps, presentExport } from './response.ts';
import { findExport } from './store.ts';

/** What the routes need that change an export's status. */
export interface ExportCommandDeps extends LinkDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  /** Call it after a commit that left messages in the outbox. */
  readonly notifyRelay: () => void;
  readonly retention: () => Retention;
}

/** When a client may poll after the first response. */
const RETRY_AFTER_SECONDS = 1;

/** Headers of a response with an export that has not ended. */
export function acceptedHeaders(id: string): Record<string, string> {
  return { location: `/exports/${id}`, 'retry-after': String(RETRY_AFTER_SECONDS) };
}

export function noExport(id: string): AppError {
  return new AppError('not_found', `There is no export ${id}.`);
}

/** Cancel, pause and resume of an export. */
export function exportCommandRoutes(deps: ExportCommandDeps): Route[] {
  const spec = {
    method: 'POST',
    tag: 'exports',
    access: 'exports:write',
    account: 'any',
    params: { id: 'ID of the export.' },
    example: { params: { id: EXAMPLE.export } },
  } as const;
  const accepted = (
    description: string,
    status: 'cancelled' | 'paused' | 'pending',
  ): Record<number, ResponseSpec> => ({
    202: {
      description,
      schema: exportSchema,
      example: exampleExport(firstResource(deps.catalog), status),
      headers: ['Location', 'Retry-After'],
    },
  });
  /** Does what is asked for, and records it, in one transaction. @throws AppError `not_found`, and what `run` throws */
  const command = async (
    { caller, accountId, id }: { caller: Caller; accountId: string | null; id: string },
    action: 'export.cancelled' | 'export.paused' | 'export.resumed',
    run: (db: Queryable) => Promise<unknown>,
  ): Promise<TextResponse> => {
    const row = await changeRecorded(deps.pool, { caller, action, id }, async (db) => {
      const changed = (await run(db)) === undefined ? undefined : await findExport(db, accountId, id);
      if (changed === undefined) throw noExport(id);
      return changed;
    });
    deps.notifyRelay();
    return jsonResponse(202, await presentExport(row, deps), acceptedHeaders(id));
  };

  return [
    defineRoute({
      ...spec,
      path: '/exports/{id}/cancel',
      operationId: 'cancelExport',
      summary: 'Cancel an export; safe to repeat',
      description:
        'Stops an export that has not ended within seconds and removes what it wrote. A cancelled export is returned again.',
      problems: {
        conflict: 'The export has ended. `export_status` is its status.',
      },
      responses: accepted('The export: cancelled or cancelling.', 'cancelled'),
      handle: ({ param, accountId, caller }) =>
        command({ caller, accountId, id: param('id') }, 'export.cancelled', async (db) => {
          const status = await cancelExport(db, accountId, param('id'));
          requireStatus(status, ['cancelled', 'cancelling'], 'cancelled');
          return status;
        }),
    }),
    defineRoute({
      ...spec,
      path: '/exports/{id}/pause',
      operationId: 'pauseExport',
      summary: 'Pause an export; safe to repeat',
      description:
        'Stops reading within seconds, and makes room for another export of the account. A chunked export keeps the chunks that it has read, and continues with them when it is resumed. An export under a single snapshot can be paused only before it takes the snapshot. `pause_expires_at` says until when a pause may last: the export fails then.',
      problems: {
        conflict:
          'The export has ended, has read all rows, or reads them under a single snapshot. `export_status` is its status.',
      },
      responses: accepted('The export, paused.', 'paused'),
      handle: ({ param, accountId, caller }) =>
        command({ caller, accountId, id: param('id') }, 'export.paused', async (db) => {
          const { eventRetentionDays } = deps.retention();
          const outcome = await pauseExport(db, accountId, param('id'), eventRetentionDays);
          if (outcome?.refusal !== undefined) throw cannotPause(outcome.status, outcome.refusal);
          requireStatus(outcome?.status, ['paused'], 'paused');
          return outcome;
        }),
    }),
    defineRoute({
      ...spec,
      path: '/exports/{id}/resume',
      operationId: 'resumeExport',
      summary: 'Resume a paused export; safe to repeat',
      description:
        'Gives the export its place in the queue of the account again. It continues with the chunks that it has read. An export that is not paused is returned as it is, as long as it has not ended.',
      problems: {
        conflict: 'The export has ended or is being cancelled. `export_status` is its status.',
      },
      responses: accepted('The export, pending.', 'pending'),
      handle: ({ param, accountId, caller }) =>
        command({ caller, accountId, id: param('id') }, 'export.resumed', async (db) => {
          const status = await resumeExport(db, accountId, param('id'));
          requireStatus(status, ['pending', 'running'], 'resumed');
          return status;
        }),
    }),
  ];
}

const TOO_LATE = {
  cancelled: (status: ExportStatus) => `The export is ${status} and can no longer be cancelled.`,
  paused: (status: ExportStatus) => `The export is ${status} and can no longer be paused.`,
  resumed: (status: ExportStatus) => `The export is ${status} and can no longer be resumed.`,
};

/** @throws AppError `conflict` for an export that has come too far */
function requireStatus(
  status: ExportStatus | undefined,
  allowed: readonly ExportStatus[],
  asked: keyof typeof TOO_LATE,
): void {
  if (status === undefined || allowed.includes(status)) return;
  throw new AppError('conflict', TOO_LATE[asked](status), { extra: { export_status: status } });
}

const REFUSALS: Readonly<Record<PauseRefusal, string>> = {
  one_snapshot:
    'The export reads all rows under a single snapshot, which a pause would lose. Let it finish, or cancel it and create it with snapshot: chunked.',
  read: 'The export has read all rows, and its files are being written. Let it finish, or cancel it.',
  too_old:
    'The export began so long ago that a pause would outlast the events that it needs. Let it finish, or cancel it.',
};

function cannotPause(status: ExportStatus, refusal: PauseRefusal): AppError {
  return new AppError('conflict', REFUSALS[refusal], { extra: { export_status: status } });
}
