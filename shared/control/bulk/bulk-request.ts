import { z } from 'zod';
import type { BulkRequest } from '../../domain/bulk.ts';
import type { FilterInput } from '../../domain/bulk-filter.ts';
import { ExactNumber, parseExactJson, toDouble } from '../../domain/exact-json.ts';
import { readStored } from '../stored-request.ts';

/** The API has checked parameters and filter. Workers check them again against the live table. */
const STORED: z.ZodType<BulkRequest> = z.object({
  resource: z.string(),
  operation: z.string(),
  params: z.record(z.string(), z.unknown()),
  filter: z
    .custom<FilterInput>((value) => typeof value === 'object' && value !== null)
    .transform((filter) => settleNumbers(filter) as FilterInput)
    .nullable(),
  semantics: z.enum(['snapshot', 'live']),
  maxFailures: z.int().positive().nullable(),
  mapped: z.array(z.string()).optional(),
});

/**
 * The API read a filter's numbers as doubles, and PostgreSQL has stored them in another spelling: 5e-7 as 0.0000005.
 */
function settleNumbers(value: unknown): unknown {
  if (value instanceof ExactNumber) return toDouble(value) ?? value;
  if (Array.isArray(value)) return value.map(settleNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, settleNumbers(member)]));
}

/**
 * Reads `bulk_jobs.request`. Takes its text, because numbers in parameters may have more digits than a double.
 *
 * @throws UnreadableRequestError
 */
export function parseBulkRequest(stored: string): BulkRequest {
  return readStored(STORED, parseExactJson(stored));
}
