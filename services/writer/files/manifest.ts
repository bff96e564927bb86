import { z } from 'zod';
import type { ClaimedAssembly } from '../../../shared/control/exports/claim-assembly.ts';
import type { ExportFile, ResourceFileFacts } from '../../../shared/control/exports/complete-export.ts';
import type { RowShape, ValueType } from '../../../shared/domain/row-shape.ts';
import type { Output } from '../../../shared/formats/choose-format.ts';

/** What is known of a resource's file once it is written. */
export interface DescribedResource {
  readonly shape: RowShape;
  /** Columns whose values are text in the file, though their type has one of its own in the format. */
  readonly columnsAsText: readonly string[];
}

/** What a value of each kind is in JSON. A `number` may be one of the strings NaN, Infinity and -Infinity where PostgreSQL has them. */
const JSON_TYPES: Record<ValueType['kind'], string> = {
  int: 'integer',
  long: 'integer',
  float: 'number',
  double: 'number',
  boolean: 'boolean',
  bytes: 'base64',
  string: 'string',
  json: 'any',
};

/**
 * The text of `manifest.json`: what the export holds and how to check it. It is made of what is stored only, with no
 * time of its own, so that a writer which redoes the work writes the same text.
 */
export function manifestText(
  claim: ClaimedAssembly,
  output: Output,
  files: readonly ExportFile[],
  resources: ReadonlyMap<string, DescribedResource>,
): string {
  const { changesSince, asOf } = readScope(claim.request);
  return toText({
    export: claim.exportId,
    account: claim.accountId,
    format: output.formatName,
    compression: output.compressionName,
    archive: output.isArchive ? 'zip' : null,
    created_at: claim.createdAt.toISOString(),
    snapshot: claim.snapshot,
    ...(changesSince === null ? {} : { changes_since: changesSince }),
    // The files hold what was committed before the cut; of the snapshot, all but what the events between the two undo.
    ...(asOf === null ? {} : { as_of: { moment: asOf, cut_lsn: claim.cutLsn } }),
    rows: sumOfRows(files),
    files: files.map(({ name, resource, rows, bytes, sha256, members }) => ({
      name,
      resource,
      rows,
      bytes,
      sha256,
      ...(members === undefined ? {} : { members }),
    })),
    schemas: describeSchemas(resources),
  });
}

/**
 * The manifest inside an archive. It says what is in it and nothing of the export, so that two exports of the same state are
 * the same bytes; the one beside the archive says the rest.
 */
export function archiveManifestText(
  output: Output,
  files: readonly ResourceFileFacts[],
  resources: ReadonlyMap<string, DescribedResource>,
): string {
  return toText({
    format: output.formatName,
    compression: output.compressionName,
    rows: sumOfRows(files),
    files,
    schemas: describeSchemas(resources),
  });
}

function toText(manifest: object): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function sumOfRows(files: readonly { readonly rows: number }[]): number {
  return files.reduce((sum, { rows }) => sum + rows, 0);
}

function describeSchemas(resources: ReadonlyMap<string, DescribedResource>) {
  return Object.fromEntries(
    [...resources].map(([resource, described]) => [resource, describeSchema(described)]),
  );
}

function describeSchema({ shape: { columns }, columnsAsText }: DescribedResource) {
  return {
    columns: columns.map(({ name, type, isKey }) => ({
      name,
      type: type.pgName,
      json: JSON_TYPES[type.kind],
      key: isKey,
      ...(columnsAsText.includes(name) ? { as_text: true } : {}),
    })),
  };
}

/** What of a request decides which files there are and what is in them, beside their format. */
export interface ExportScope {
  /** The columns that the files have; null for all. */
  readonly fields: readonly string[] | null;
  /** The earlier export whose changes these are; null for an export of everything. */
  readonly changesSince: string | null;
  /** The past moment that the export is of; null for the present. */
  readonly asOf: string | null;
}

const REQUEST = z.object({
  fields: z.array(z.string()).nullable().default(null),
  changes_since: z.string().nullable().default(null),
  as_of: z.string().nullable().default(null),
});

/** Reads a request as the API stored it. */
export function readScope(request: unknown): ExportScope {
  const { fields, changes_since: changesSince, as_of: asOf } = REQUEST.parse(request);
  return { fields, changesSince, asOf };
}

export function selectColumns(shape: RowShape, fields: readonly string[] | null): RowShape {
  if (fields === null) return shape;
  return { ...shape, columns: shape.columns.filter(({ name }) => fields.includes(name)) };
}
