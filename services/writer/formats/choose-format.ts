import { z } from 'zod';
import { gzip, none } from './compression.ts';
import type { Compression, Format } from './format.ts';
import { jsonl } from './jsonl.ts';

/** How an export's files are to be written. */
export interface Output {
  readonly format: Format;
  readonly formatName: string;
  readonly compression: Compression;
  readonly compressionName: string;
}

const FORMATS = { jsonl } satisfies Record<string, Format>;
const COMPRESSIONS = { none, gzip } satisfies Record<string, Compression>;

const REQUEST = z.object({
  format: z.enum(Object.keys(FORMATS) as (keyof typeof FORMATS)[]).default('jsonl'),
  compression: z.enum(Object.keys(COMPRESSIONS) as (keyof typeof COMPRESSIONS)[]).default('none'),
});

/** A stored request that this version can't fulfil; a newer `api` runs beside an older `writer`. */
export class UnknownOutputError extends Error {
  override readonly name = 'UnknownOutputError';
}

/** Reads format and compression of a request as the API stored it. @throws UnknownOutputError */
export function chooseFormat(request: unknown): Output {
  const parsed = REQUEST.safeParse(request);
  if (!parsed.success) {
    throw new UnknownOutputError('this writer does not know the format or the compression', {
      cause: parsed.error,
    });
  }
  const { format, compression } = parsed.data;
  return {
    format: FORMATS[format],
    formatName: format,
    compression: COMPRESSIONS[compression],
    compressionName: compression,
  };
}
