import type { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { EXAMPLE } from '../http/example-values.ts';
import type {
  bulkAcceptedSchema,
  bulkDoneSchema,
  bulkFileSchema,
  bulkJobSchema,
  itemResultSchema,
} from './response.ts';

/** The operation of the examples: the first that needs neither parameters nor a handler, else the first. */
function operationOf(catalog: Catalog): { resource: string; operation: string } {
  const all = catalog.resources.flatMap(({ name, operations }) =>
    Object.entries(operations).map(([operation, declared]) => ({ resource: name, operation, declared })),
  );
  const { resource, operation } = all.find(({ declared }) => 'set' in declared) ??
    all[0] ?? { resource: catalog.resources[0]?.name ?? 'records', operation: 'update' };
  return { resource, operation };
}

export function exampleRequest(catalog: Catalog) {
  return { body: { ...operationOf(catalog), ids: ['1001'] } };
}

export const EXAMPLE_RESULT: z.input<typeof itemResultSchema> = {
  item_id: '1001',
  status: 'succeeded',
  at: EXAMPLE.later,
};

export function exampleDone(catalog: Catalog): z.input<typeof bulkDoneSchema> {
  return {
    ...operationOf(catalog),
    status: 'completed',
    processed: 1,
    succeeded: 1,
    failed: 0,
    skipped: 0,
    total: 1,
    results: [EXAMPLE_RESULT],
  };
}

export const EXAMPLE_ACCEPTED: z.input<typeof bulkAcceptedSchema> = {
  job_id: EXAMPLE.job,
  status: 'pending',
  estimated_items: 1,
  estimated_duration_seconds: 2,
};

export function exampleJob(
  catalog: Catalog,
  status: 'pending' | 'paused' | 'cancelled',
): z.input<typeof bulkJobSchema> {
  return {
    job_id: EXAMPLE.job,
    account_id: EXAMPLE.account,
    ...operationOf(catalog),
    semantics: 'snapshot',
    status,
    processed: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    total: 1,
    created_at: EXAMPLE.at,
    started_at: null,
    last_updated_at: EXAMPLE.at,
    ended_at: status === 'cancelled' ? EXAMPLE.later : null,
    eta_seconds: null,
    quota: { limit: null, used: 0, remaining: null, resets_at: EXAMPLE.muchLater },
    recent_errors: [],
    error_summary: [],
    ...(status === 'pending' ? { queue_position: 1 } : {}),
    ...(status === 'paused' ? { pause_reason: 'requested' as const } : {}),
  };
}

export const EXAMPLE_FILE: z.input<typeof bulkFileSchema> = {
  file_id: EXAMPLE.file,
  items: 3,
  ids: 3,
  bad_lines: [],
  bytes: 15,
  created_at: EXAMPLE.at,
  expires_at: EXAMPLE.muchLater,
};
