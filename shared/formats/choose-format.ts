import { z } from 'zod';
import { EXPORT_COMPRESSIONS, EXPORT_FORMATS } from '../domain/export-request.ts';
import { gzip, none, zstd } from './compression.ts';
import { createCsv } from './csv.ts';
import type { Compression, Format } from './format.ts';
import { jsonl } from './jsonl.ts';
import { createParquet } from './parquet.ts';

/** How an export's files are to be written. */
export interface Output {
  readonly format: Format;
  readonly formatName: string;
  readonly compression: Compression;
  readonly compressionName: string;
  /** Whether all files go into one archive. */
  readonly isArchive: boolean;
  /** Whether the files are compressed before they come to an archive. */
  readonly isCompressed: boolean;
}

/** A stored request that this version can't fulfil; a newer `api` runs beside an older `writer`. */
export class UnknownOutputError extends Error {
  override readonly name = 'UnknownOutputError';
}

/** Reads from a request, as the API stored it, how files are to be written. @throws UnknownOutputError */
export type ChooseFormat = (request: unknown) => Output;

const COMPRESSIONS: Record<(typeof EXPORT_COMPRESSIONS)[number], Compression> = { none, gzip, zstd };

const REQUEST = z
  .object({
    format: z.enum(EXPORT_FORMATS).default('jsonl'),
    compression: z.enum(EXPORT_COMPRESSIONS).default('none'),
    archive: z.literal('zip').nullable().default(null),
    csv_safe: z.boolean().default(false),
  })
  .refine(({ format, compression }) => format !== 'parquet' || compression === 'none');

export function createChooseFormat(config: { readonly parquetMemoryMb: number }): ChooseFormat {
  const csv = createCsv({ isSafe: false });
  const safeCsv = createCsv({ isSafe: true });
  const parquet = createParquet({ memoryMb: config.parquetMemoryMb });
  return (request) => {
    const parsed = REQUEST.safeParse(request);
    if (!parsed.success) {
      throw new UnknownOutputError('this writer does not know the format or the compression', {
        cause: parsed.error,
      });
    }
    const { format, compression, archive, csv_safe: isSafe } = parsed.data;
    const formats: Record<typeof format, Format> = { jsonl, csv: isSafe ? safeCsv : csv, parquet };
    return {
      format: formats[format],
      formatName: format,
      compression: COMPRESSIONS[compression],
      compressionName: compression,
      isArchive: archive !== null,
      isCompressed: format === 'parquet' || compression !== 'none',
    };
  };
}
