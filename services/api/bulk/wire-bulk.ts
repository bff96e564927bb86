import { z } from 'zod';

/** The JSON of bulk operations that leaves, as schemas. */

/** Enough to see what is wrong with a file. */
export const MAX_BAD_LINES = 20;

const moment = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

export const bulkStatusSchema = z.enum(['pending', 'running', 'paused', 'cancelled', 'completed', 'failed']);

export const itemStatusSchema = z.enum(['succeeded', 'failed', 'skipped']);

export const bulkAcceptedSchema = z
  .strictObject({
    job_id: z.string(),
    status: bulkStatusSchema,
    estimated_items: count,
    estimated_duration_seconds: count,
  })
  .meta({ id: 'BulkAccepted' });

export const bulkJobSchema = z
  .strictObject({
    job_id: z.string(),
    account_id: z.string(),
    resource: z.string(),
    operation: z.string(),
    semantics: z.enum(['snapshot', 'live']),
    status: bulkStatusSchema,
    processed: count.meta({ description: 'Always succeeded + failed + skipped.' }),
    succeeded: count,
    failed: count,
    skipped: count,
    total: count.meta({ description: 'An estimate until the items are listed.' }),
    created_at: moment,
    started_at: moment.nullable().meta({
      description: 'Time at which the item list was complete. The job is pending before and running after.',
    }),
    last_updated_at: moment,
    ended_at: moment.nullable(),
    eta_seconds: count.nullable().meta({ description: 'Null while paused and until a rate is known.' }),
    quota: z.strictObject({
      limit: count.nullable().meta({ description: 'Items per period of the account. Null: unlimited.' }),
      used: count,
      remaining: count.nullable(),
      resets_at: moment,
    }),
    recent_errors: z.array(
      z.strictObject({ item_id: z.string(), code: z.string(), message: z.string(), at: moment }),
    ),
    error_summary: z.array(z.strictObject({ code: z.string(), count })),
    queue_position: count.optional().meta({
      description: 'Position in the queue of the account: 1 starts next. Absent while the items are listed.',
    }),
    pause_reason: z.enum(['requested', 'quota', 'handler', 'feed']).optional().meta({
      description:
        '`handler`: the handler is unavailable. `feed`: the change feed is too far behind. `quota`: the quota is used up. These three end without a request. `requested`: ends with a resume.',
    }),
    resumes_at: moment
      .optional()
      .meta({ description: 'Time at which the job resumes, if it waits for its quota or its handler.' }),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'BulkOperation' });

export const itemResultSchema = z
  .strictObject({
    item_id: z.string(),
    status: itemStatusSchema,
    code: z.string().optional(),
    message: z.string().optional(),
    line: count.optional().meta({ description: 'Line in the file of IDs.' }),
    at: moment,
  })
  .meta({ id: 'BulkItemResult' });

export const bulkDoneSchema = z
  .strictObject({
    resource: z.string(),
    operation: z.string(),
    status: z.literal('completed'),
    processed: count,
    succeeded: count,
    failed: count,
    skipped: count,
    total: count,
    results: z.array(itemResultSchema).meta({ description: 'In the order of the request.' }),
  })
  .meta({ id: 'BulkDone' });

export const bulkDryRunSchema = z
  .strictObject({
    dry_run: z.literal(true),
    resource: z.string(),
    operation: z.string(),
    estimated_items: count,
    estimated_duration_seconds: count,
    sample: z.array(z.strictObject({ item_id: z.string() })),
  })
  .meta({ id: 'BulkDryRun' });

export const bulkFileSchema = z
  .strictObject({
    file_id: z.string(),
    items: count.meta({ description: 'Non-blank lines without the header.' }),
    ids: count.meta({
      description:
        'Lines that are valid IDs, of `resource` where the upload gives it. Other lines become failed items.',
    }),
    bad_lines: z
      .array(
        z.strictObject({
          line: z.int().min(1),
          code: z.enum(['too_long', 'quotes', 'columns', 'invalid_id']),
          detail: z.string(),
        }),
      )
      .meta({ description: `The first ${MAX_BAD_LINES} lines that are not valid IDs.` }),
    header: z.string().optional().meta({ description: 'The first line, if it is the name of a key column.' }),
    bytes: count,
    created_at: moment,
    expires_at: moment,
  })
  .meta({ id: 'BulkFile' });
