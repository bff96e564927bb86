import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zip } from '../../services/writer/files/zip.ts';
import type { Column } from '../../shared/domain/row-type.ts';
import { createChooseFormat } from '../../shared/formats/choose-format.ts';
import { readTreeUsage } from '../bench/process-usage.ts';

/**
 * A process of its own that writes so many rows in a format into a zip archive, and prints what it took: a process that does
 * nothing else is the only one whose memory says something.
 */
const [format = 'csv', rowCount = '1000'] = process.argv.slice(2);

const column = (name: string, kind: Column['type']['kind'], pgName: string): Column => ({
  name,
  type: { kind, pgName },
  isKey: name === 'id',
});

const COLUMNS = [
  column('id', 'long', 'int8'),
  column('total', 'string', 'numeric(12,4)'),
  column('created_at', 'string', 'timestamptz'),
  column('memo', 'string', 'text'),
  column('doc', 'json', 'jsonb'),
];

async function* lines(): AsyncGenerator<Buffer> {
  let piece = '';
  for (let id = 0; id < Number(rowCount); id += 1) {
    const micros = String(id % 1_000_000).padStart(6, '0');
    piece += `${JSON.stringify([
      String(id),
      `${id * 7919}.${String(id % 10_000).padStart(4, '0')}`,
      `2026-01-02T03:04:05.${micros}Z`,
      id % 3 === 0 ? null : `row ${id}, “quoted”\n${'x'.repeat(id % 50)}`,
      `{"n": ${id}.10, "tags": ["a", null]}`,
    ])}\n`;
    if (piece.length < 65_536) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  yield Buffer.from(piece);
}

const folder = await mkdtemp(join(tmpdir(), 'tandem-encode-'));
const hash = createHash('sha256');
let longestDelayMs = 0;
let atMs = performance.now();
const watch = setInterval(() => {
  longestDelayMs = Math.max(longestDelayMs, performance.now() - atMs);
  atMs = performance.now();
}, 5);
try {
  const output = createChooseFormat({ parquetMemoryMb: 512 })({
    format,
    compression: 'none',
    archive: 'zip',
    csv_safe: false,
    buckets: null,
  });
  const context = {
    signal: new AbortController().signal,
    scratchPath: async (name: string) => join(folder, name),
  };
  const encoded = output.format.encode(lines(), { resource: 'rows', columns: COLUMNS }, context);
  async function* members() {
    yield { name: `rows${output.format.suffix}`, bytes: encoded.bytes, isStored: output.isCompressed };
  }
  for await (const piece of zip(members(), context)) hash.update(piece);
  process.stdout.write(
    JSON.stringify({
      rows: encoded.rowCount(),
      sha256: hash.digest('hex'),
      longestDelayMs,
      // Not `resourceUsage().maxRSS`, which is at least what the process that started this one holds.
      maxMegabytes: readTreeUsage(process.pid).peakBytes / 2 ** 20,
    }),
  );
} finally {
  clearInterval(watch);
  await rm(folder, { recursive: true, force: true });
}
