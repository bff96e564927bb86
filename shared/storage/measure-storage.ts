import { defineMetrics, type Metrics } from '../runtime/metrics.ts';
import {
  type FileWriter,
  type Storage,
  StorageFullError,
  StorageNotFoundError,
  StorageRefusedError,
} from './storage.ts';

const OPERATIONS = ['open', 'append', 'commit', 'read', 'stat', 'delete', 'list'] as const;

type Operation = (typeof OPERATIONS)[number];

export const STORAGE_METRICS = defineMetrics({
  duration: {
    name: 'tandem_storage_operation_duration_seconds',
    type: 'histogram',
    help: 'Time of one call to storage, by operation. read: until its first byte can be read.',
    normal: 'p99 below 1 s',
    labels: { operation: OPERATIONS },
    buckets: [0.001, 0.005, 0.025, 0.1, 0.25, 1, 5, 30],
  },
  failures: {
    name: 'tandem_storage_failures_total',
    type: 'counter',
    help: 'Calls to storage that failed, by reason. A missing file is not a failure.',
    normal: '0',
    labels: { reason: ['full', 'refused', 'other'] },
  },
  written: {
    name: 'tandem_storage_written_bytes_total',
    type: 'counter',
    help: 'Bytes handed to storage, of parts and of files.',
    normal: 'follows the exports',
  },
});

/** The same storage, with its calls measured. */
export function measureStorage(storage: Storage, metrics: Metrics): Storage {
  const duration = metrics.histogram(STORAGE_METRICS.duration);
  const failures = metrics.counter(STORAGE_METRICS.failures);
  const written = metrics.counter(STORAGE_METRICS.written);

  const measure = async <Result>(operation: Operation, work: () => Promise<Result>): Promise<Result> => {
    const startedAtMs = performance.now();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StorageNotFoundError)) failures.add(1, { reason: reasonOf(error) });
      throw error;
    } finally {
      duration.observe((performance.now() - startedAtMs) / 1_000, { operation });
    }
  };

  const measureWriter = (writer: FileWriter): FileWriter => ({
    path: writer.path,
    get bytes() {
      return writer.bytes;
    },
    async append(chunk) {
      const before = writer.bytes;
      await measure('append', () => writer.append(chunk));
      written.add(writer.bytes - before);
    },
    commit: () => measure('commit', () => writer.commit()),
    abort: () => writer.abort(),
  });

  return {
    ...storage,
    openWriter: async (path) => measureWriter(await measure('open', () => storage.openWriter(path))),
    openRead: (...of) => measure('read', () => storage.openRead(...of)),
    stat: (path) => measure('stat', () => storage.stat(path)),
    delete: (path) => measure('delete', () => storage.delete(path)),
    deleteFolder: (folder) => measure('delete', () => storage.deleteFolder(folder)),
    listNames: (folder) => measure('list', () => storage.listNames(folder)),
  };
}

function reasonOf(error: unknown): 'full' | 'refused' | 'other' {
  if (error instanceof StorageFullError) return 'full';
  return error instanceof StorageRefusedError ? 'refused' : 'other';
}
