import { z } from 'zod';
import type { BulkRequest } from '../../domain/bulk.ts';
import type { FilterInput } from '../../domain/bulk-filter.ts';
import { parseExactJson } from '../../domain/exact-json.ts';
import { readStored } from '../stored-request.ts';

/** The API has checked parameters and filter. Workers check them again against the live table. */
const STORED: z.ZodType<BulkRequest> = z.object({
  resource: z.string(),
  operation: z.string(),
  params: z.record(z.string(), z.unknown()),
  filter: z.custom<FilterInput>((value) => typeof value === 'object' && value !== null).nullable(),
  semantics: z.enum(['snapshot', 'live']),
  maxFailures: z.int().positive().nullable(),
});

/**
 * Reads `bulk_jobs.request`. Takes the text, because numbers in parameters may have more digits than a double.
 *
 * @throws UnreadableRequestError
 */
export function parseBulkRequest(stored: string): BulkRequest {
  return readStored(STORED, parseExactJson(stored));
}
