import { z } from 'zod';
import { firstResource } from '../../../shared/domain/catalog.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, readCursor, writeCursor } from '../http/paging.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { count, listOf, timestamp } from '../http/schema.ts';
import {
  CHUNK_STATES,
  type ChunkCounts,
  type ChunkPlace,
  type ChunkRow,
  countChunks,
  listChunks,
} from './chunk-store.ts';
import { noExport } from './export-commands.ts';
import type { ExportDeps } from './routes.ts';
import { findExport } from './store.ts';

export type ChunkDeps = Pick<ExportDeps, 'pool' | 'cursorSigner' | 'catalog'>;

const stateSchema = z.enum(CHUNK_STATES).meta({
  description:
    'planned: waits for a reader. reading: an extractor reads its rows. extracted: all rows are read. written: all rows are stored.',
});

const chunkSchema = z
  .strictObject({
    resource: z.string(),
    chunk: count.meta({ description: 'Number within the resource, in key order.' }),
    state: stateSchema,
    rows: z.strictObject({
      planned: count.meta({ description: 'Rows of the chunk in the snapshot.' }),
      extracted: count,
      written: count,
    }),
    attempts: count.meta({ description: 'Times that an extractor has begun to read it.' }),
    started_at: timestamp.nullable().meta({ description: 'Start of the latest attempt.' }),
    extracted_at: timestamp.nullable(),
    written_at: timestamp.nullable(),
  })
  .meta({ id: 'ExportChunk' });

const countsSchema = z.strictObject({ planned: count, reading: count, extracted: count, written: count });

const chunkPageSchema = listOf(chunkSchema)
  .extend({
    counts: countsSchema.meta({
      description: 'Chunks of the whole export by state, whatever the page and the filter.',
    }),
    resources: z
      .array(
        z.strictObject({
          resource: z.string(),
          counts: countsSchema,
          rows: z.strictObject({ planned: count, extracted: count, written: count }),
        }),
      )
      .meta({ description: 'The same for each resource whose chunks are known, in the order of names.' }),
    is_planned: z
      .boolean()
      .meta({ description: 'Whether all chunks are known. Until then their number grows.' }),
  })
  .meta({ id: 'ExportChunkPage' });

/**
 * The chunks of an export: thousands for tens of millions of rows, so they are a list of their own. An export that starts
 * again, with a new snapshot, has new chunks.
 */
export function chunkRoutes({ pool, cursorSigner, catalog }: ChunkDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/exports/{id}/chunks',
      operationId: 'listExportChunks',
      tag: 'exports',
      summary: 'List the chunks of an export and their progress',
      description:
        'An export is read in chunks of each resource, several at once. An export that starts again with a new snapshot has new chunks.',
      params: { id: 'ID of the export.' },
      example: { params: { id: EXAMPLE.export }, query: { limit: 10 } },
      access: 'exports:read',
      account: 'any',
      query: z.strictObject({
        ...PAGE_QUERY,
        resource: z.string().max(100).optional().meta({ description: 'Only chunks of this resource.' }),
        state: stateSchema.optional(),
      }),
      responses: {
        200: {
          description: 'Chunks in the order of resource and number.',
          schema: chunkPageSchema,
          example: exampleChunks(firstResource(catalog)),
        },
      },
      async handle({ param, accountId, query }) {
        const { limit, cursor, resource, state } = query;
        const job = await findExport(pool, accountId, param('id'));
        if (job === undefined) throw noExport(param('id'));
        const list = `export-chunks:${job.id}:${resource ?? ''}:${state ?? ''}`;
        const after = cursor === undefined ? undefined : readCursor<ChunkPlace>(cursorSigner, list, cursor);
        const rows = await listChunks(pool, job.id, { resource, state }, after, limit + 1);
        const page = rows.slice(0, limit);
        const last = page.at(-1);
        const hasMore = rows.length > limit && last !== undefined;
        const resources = await countChunks(pool, job.id);
        const place = hasMore ? { resource: last.resource, chunk: last.chunk } : undefined;
        const shown: z.input<typeof chunkPageSchema> = {
          data: page.map(presentChunk),
          has_more: hasMore,
          next_cursor: place === undefined ? null : writeCursor(cursorSigner, list, place),
          counts: sumCounts(resources.map(({ counts }) => counts)),
          resources,
          is_planned: job.all_planned,
        };
        return jsonResponse(200, shown);
      },
    }),
  ];
}

function exampleChunks(resource: string): z.input<typeof chunkPageSchema> {
  const chunk = {
    resource,
    chunk: 0,
    state: 'written' as const,
    rows: { planned: 1_234, extracted: 1_234, written: 1_234 },
    attempts: 1,
    started_at: EXAMPLE.at,
    extracted_at: EXAMPLE.later,
    written_at: EXAMPLE.later,
  };
  return {
    data: [chunk],
    has_more: false,
    next_cursor: null,
    counts: { planned: 0, reading: 0, extracted: 0, written: 1 },
    resources: [{ resource, counts: { planned: 0, reading: 0, extracted: 0, written: 1 }, rows: chunk.rows }],
    is_planned: true,
  };
}

function sumCounts(all: readonly ChunkCounts[]): ChunkCounts {
  const sum = (state: keyof ChunkCounts) => all.reduce((total, counts) => total + counts[state], 0);
  return {
    planned: sum('planned'),
    reading: sum('reading'),
    extracted: sum('extracted'),
    written: sum('written'),
  };
}

function presentChunk(row: ChunkRow): z.input<typeof chunkSchema> {
  return {
    resource: row.resource,
    chunk: row.chunk,
    state: row.state,
    rows: {
      planned: Number(row.rows_planned),
      extracted: Number(row.rows_extracted),
      written: Number(row.rows_written ?? 0),
    },
    attempts: row.tries,
    started_at: row.started_at?.toISOString() ?? null,
    extracted_at: row.extracted_at?.toISOString() ?? null,
    written_at: row.written_at?.toISOString() ?? null,
  };
}
