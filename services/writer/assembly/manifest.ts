import type { RowShape, ValueType } from '../../../shared/domain/row-shape.ts';
import type { Output } from '../formats/choose-format.ts';
import type { ClaimedAssembly } from '../store/claim-assembly.ts';
import type { ExportFile } from '../store/complete-export.ts';

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
  shapes: ReadonlyMap<string, RowShape>,
): string {
  const manifest = {
    export: claim.exportId,
    account: claim.accountId,
    format: output.formatName,
    compression: output.compressionName,
    created_at: claim.createdAt.toISOString(),
    snapshot: claim.snapshot,
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    files: files.map(({ name, resource, rows, bytes, sha256 }) => ({ name, resource, rows, bytes, sha256 })),
    schemas: Object.fromEntries([...shapes].map(([resource, shape]) => [resource, describeShape(shape)])),
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function describeShape({ columns }: RowShape) {
  return {
    columns: columns.map(({ name, type, isKey }) => ({
      name,
      type: type.pgName,
      json: JSON_TYPES[type.kind],
      key: isKey,
    })),
  };
}
