import type { Catalog } from '../domain/catalog.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** A topic as Tandem needs it. `retentionMs` is ignored for compacted topics. */
export interface TopicDeclaration {
  name: string;
  /** That it is made with. */
  partitions: number;
  /** With which it is good enough; by default as many. */
  minPartitions?: number;
  cleanup: 'delete' | 'compact';
  retentionMs: number;
  /** Its records hold whole rows of the source, so `KAFKA_MAX_MESSAGE_BYTES` applies. */
  holdsRows?: true;
}

export interface Topics {
  readonly commands: string;
  readonly jobs: string;
  readonly changes: string;
  /** How far capture has come, one key per slot; see services/capture. */
  readonly capture: string;
  rows(resource: string): string;
  readonly declarations: readonly TopicDeclaration[];
}

const MAX_ROWS_PARTITIONS = 6;

/**
 * Of all rows topics together. Each costs the brokers, and every fetch of a writer, the same with rows and without. Where there
 * are many resources, writers share these rather than the partitions of one.
 */
const ALL_ROWS_PARTITIONS = 120;

/** Every topic name in one place. `prefix` is `TOPIC_PREFIX`, by default `tandem`. */
export function topicsOf(prefix: string, catalog: Catalog): Topics {
  const rows = (resource: string) => `${prefix}.rows.${resource}`;
  const commands = `${prefix}.commands`;
  const jobs = `${prefix}.jobs`;
  const changes = `${prefix}.changes`;
  const capture = `${prefix}.capture`;
  const share = Math.floor(ALL_ROWS_PARTITIONS / catalog.resources.length);
  const rowsPartitions = Math.max(1, Math.min(MAX_ROWS_PARTITIONS, share));
  return {
    commands,
    jobs,
    changes,
    capture,
    rows,
    declarations: [
      { name: commands, partitions: 6, cleanup: 'delete', retentionMs: 7 * DAY_MS },
      { name: jobs, partitions: 6, cleanup: 'delete', retentionMs: 7 * DAY_MS },
      { name: changes, partitions: 12, cleanup: 'delete', retentionMs: 30 * DAY_MS, holdsRows: true },
      { name: capture, partitions: 1, cleanup: 'compact', retentionMs: DAY_MS },
      ...catalog.resources.map(
        (resource): TopicDeclaration => ({
          name: rows(resource.name),
          partitions: rowsPartitions,
          // A chunk may go to any partition. So topics stay as they are when the catalog grows or shrinks, or somebody adds partitions.
          minPartitions: 1,
          cleanup: 'delete',
          retentionMs: 3 * DAY_MS,
          holdsRows: true,
        }),
      ),
    ],
  };
}
