import type { EXPORT_COMPRESSIONS, FILE_FORMATS, OutputRequest } from '../domain/export-request.ts';
import { gzip, none, zstd } from './compression.ts';
import { createCsv } from './csv.ts';
import { createDigest } from './digest.ts';
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

/** What writes files as a request asks for. @throws UnknownOutputError */
export type ChooseFormat = (request: OutputRequest) => Output;

const COMPRESSIONS: Record<(typeof EXPORT_COMPRESSIONS)[number], Compression> = { none, gzip, zstd };

export function createChooseFormat(config: { readonly parquetMemoryMb: number }): ChooseFormat {
  const csv = createCsv({ isSafe: false });
  const safeCsv = createCsv({ isSafe: true });
  const parquet = createParquet({ memoryMb: config.parquetMemoryMb });
  const formats: Record<(typeof FILE_FORMATS)[number], Format> = { jsonl, csv, parquet };
  return ({ format: formatName, compression: compressionName, archive, csv_safe: isCsvSafe, buckets }) => {
    const format =
      formatName === 'digest'
        ? createDigest(buckets)
        : isCsvSafe && formatName === 'csv'
          ? safeCsv
          : entryOf(formats, formatName);
    const compression = entryOf(COMPRESSIONS, compressionName);
    const isKnown = archive === null || archive === 'zip';
    if (
      format === undefined ||
      compression === undefined ||
      !isKnown ||
      (format === parquet && compression !== none)
    ) {
      throw new UnknownOutputError(
        `this writer does not know the format ${formatName}, compression ${compressionName}, archive ${archive}`,
      );
    }
    return {
      format,
      formatName,
      compression,
      compressionName,
      isArchive: archive !== null,
      isCompressed: format === parquet || compression !== none,
    };
  };
}

function entryOf<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
