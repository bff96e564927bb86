import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { defineMetrics, type Metrics } from '../../shared/runtime/metrics.ts';

export const WRITER_METRICS = defineMetrics({
  rows: {
    name: 'tandem_rows_written_total',
    type: 'counter',
    help: 'Rows of parts on stable storage.',
    normal: 'follows tandem_rows_extracted_total within seconds',
  },
  openChunks: {
    name: 'tandem_open_chunks',
    type: 'gauge',
    help: 'Chunks that this process has begun to write.',
    normal: 'far below WRITER_MAX_OPEN_CHUNKS',
  },
  completed: {
    name: 'tandem_exports_completed_total',
    type: 'counter',
    help: 'Exports whose files this process published.',
    normal: 'follows the exports',
  },
  bytes: {
    name: 'tandem_export_bytes_total',
    type: 'counter',
    help: 'Bytes of published files.',
    normal: 'follows the exports',
  },
  assembly: {
    name: 'tandem_assembly_duration_seconds',
    type: 'histogram',
    help: 'Time to make the files of one export from its parts.',
    normal: 'about 1 s for 100 MB',
    buckets: [0.05, 0.1, 0.5, 1, 5, 30, 120, 600, 3_600],
  },
  duration: {
    name: 'tandem_export_duration_seconds',
    type: 'histogram',
    help: 'Time from the request to the published files, of completed exports.',
    normal: 'seconds for small exports; the queue counts too',
    buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 28_800],
  },
  diskFree: {
    name: 'tandem_disk_free_bytes',
    type: 'gauge',
    help: 'Free bytes of the disk of Parquet files in progress (scratch), and of storage in a directory.',
    normal: 'above 15 % of the size',
    labels: { volume: ['scratch', 'storage'] },
  },
  diskSize: {
    name: 'tandem_disk_size_bytes',
    type: 'gauge',
    help: 'Size of those disks.',
    normal: 'constant',
    labels: { volume: ['scratch', 'storage'] },
  },
});

/** An export whose files are published. Times are in milliseconds. */
export interface PublishedExport {
  readonly bytes: number;
  readonly assemblyMs: number;
  /** Time since the request. */
  readonly totalMs: number;
}

export interface WriterMetrics {
  written(rows: number): void;
  published(done: PublishedExport): void;
}

export function addWriterMetrics(
  metrics: Metrics,
  {
    openChunkCount,
    directories,
  }: {
    readonly openChunkCount: () => number;
    /** A directory of each disk; undefined without one. */
    readonly directories: Readonly<Record<'scratch' | 'storage', string | undefined>>;
  },
): WriterMetrics {
  const rows = metrics.counter(WRITER_METRICS.rows);
  const completed = metrics.counter(WRITER_METRICS.completed);
  const bytes = metrics.counter(WRITER_METRICS.bytes);
  const assembly = metrics.histogram(WRITER_METRICS.assembly);
  const duration = metrics.histogram(WRITER_METRICS.duration);
  metrics.gauge(WRITER_METRICS.openChunks, () => [{ value: openChunkCount() }]);
  const ofDisks = (read: (disk: Disk) => number) => async () => {
    const disks = Object.entries(directories).map(async ([volume, directory]) => {
      const disk = directory === undefined ? undefined : await readDisk(directory);
      return disk === undefined ? [] : [{ value: read(disk), labels: { volume } }];
    });
    return (await Promise.all(disks)).flat();
  };
  metrics.gauge(
    WRITER_METRICS.diskFree,
    ofDisks(({ freeBytes }) => freeBytes),
  );
  metrics.gauge(
    WRITER_METRICS.diskSize,
    ofDisks(({ sizeBytes }) => sizeBytes),
  );
  return {
    written: (count) => rows.add(count),
    published(done) {
      completed.add(1);
      bytes.add(done.bytes);
      assembly.observe(done.assemblyMs / 1_000);
      duration.observe(Math.max(0, done.totalMs) / 1_000);
    },
  };
}

interface Disk {
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** The scratch directory is created when first needed. Until then its disk is that of its parent. */
async function readDisk(directory: string): Promise<Disk | undefined> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      const { bavail, blocks, bsize } = await statfs(path);
      return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
    } catch {
      if (path === dirname(path)) return undefined;
    }
  }
}
