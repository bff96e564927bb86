import type {
  ClaimedAssembly,
  ExportFile,
  ResourceFileFacts,
} from '../../../shared/control/exports/assembly.ts';
import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { RowType, ValueType } from '../../../shared/domain/row-type.ts';
import type { Output } from '../../../shared/formats/choose-format.ts';

/** Facts of a resource's file for the manifest. */
export interface DescribedResource {
  readonly rowType: RowType;
  /** Columns that the file has as text, though the format has their type. */
  readonly columnsAsText: readonly string[];
}

/** JSON type of each kind of value. A `number` may also be one of the strings NaN, Infinity and -Infinity. */
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
 * The text of `manifest.json`: what the export holds and how to check it. It depends on stored facts only, and has no
 * timestamp of its own, so that a repeated assembly writes the same text.
 */
export function manifestText(
  claim: ClaimedAssembly,
  { changes_since: changesSince, as_of: asOf }: Pick<ExportRequest, 'changes_since' | 'as_of'>,
  output: Output,
  files: readonly ExportFile[],
  resources: ReadonlyMap<string, DescribedResource>,
): string {
  return toText({
    export: claim.exportId,
    account: claim.accountId,
    format: output.formatName,
    compression: output.compressionName,
    archive: output.isArchive ? 'zip' : null,
    created_at: claim.createdAt.toISOString(),
    snapshot: claim.snapshot,
    ...(changesSince === null ? {} : { changes_since: changesSince }),
    // The files hold what was committed before the cut.
    ...(asOf === null ? {} : { as_of: { moment: asOf, cut_lsn: claim.cutLsn } }),
    rows: sumOfRows(files),
    files: files.map(({ name, resource, rows, bytes, sha256, digest, members }) => ({
      name,
      resource,
      rows,
      bytes,
      sha256,
      ...(digest === undefined ? {} : { digest }),
      ...(members === undefined ? {} : { members }),
    })),
    schemas: describeSchemas(resources),
  });
}

/**
 * The manifest inside an archive. It describes the content and not the export, so that two exports of the same state have
 * the same bytes. The manifest beside the archive describes the export.
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

function describeSchema({ rowType: { columns }, columnsAsText }: DescribedResource) {
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

export function selectColumns(rowType: RowType, fields: readonly string[] | null): RowType {
  if (fields === null) return rowType;
  return { ...rowType, columns: rowType.columns.filter(({ name }) => fields.includes(name)) };
}
