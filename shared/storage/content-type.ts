/** Media types by a name's last suffix, which for a compressed file is the compression's. */
const TYPES = new Map([
  ['csv', 'text/csv; charset=utf-8'],
  ['gz', 'application/gzip'],
  ['json', 'application/json'],
  ['jsonl', 'application/jsonl'],
  ['parquet', 'application/vnd.apache.parquet'],
  ['zip', 'application/zip'],
  ['zst', 'application/zstd'],
]);

/** What a file is served as, by its name. */
export function contentTypeOf(name: string): string {
  return TYPES.get(name.slice(name.lastIndexOf('.') + 1)) ?? 'application/octet-stream';
}
