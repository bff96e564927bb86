import type { z } from 'zod';
import type { resourceSchema } from '../../catalog/schemas.ts';
import type { estimateSchema, exportFileSchema, exportSchema } from '../../exports/response.ts';

/** What the API responds with, as the pages read it. */
export type Export = z.output<typeof exportSchema>;
export type ExportFile = z.output<typeof exportFileSchema>;
export type Estimate = z.output<typeof estimateSchema>;
export type Resource = z.output<typeof resourceSchema>;

export interface ExportList {
  readonly data: readonly Export[];
  readonly next_cursor: string | null;
}
