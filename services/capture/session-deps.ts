import type { Finding } from '../../shared/catalog/finding.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import type { Lsn } from '../../shared/domain/lsn.ts';
import type { KafkaClient } from '../../shared/kafka/kafka-client.ts';
import type { MessageCodec } from '../../shared/kafka/messages.ts';
import type { AvroSchemaJson, RegisteredSchema } from '../../shared/kafka/registry.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import type { Subjects } from '../../shared/protocol/names.ts';
import type { Secret } from '../../shared/runtime/env.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { MisfitTimes } from './aside/misfits.ts';
import type { SetAside } from './aside/set-asides.ts';
import type { KnownColumns } from './changes/fit-relation.ts';
import type { ResumeHistory } from './changes/watch-set-asides.ts';
import type { CaptureMetrics } from './metrics.ts';
import type { RoutesSource } from './routes/open-routes.ts';

export interface SessionConfig {
  readonly sourceUrl: Secret;
  readonly slotName: string;
  readonly publicationName: string;
  readonly transactionalId: string;
  readonly acceptedGapAfter: Lsn | undefined;
  readonly maxQueuedBytes: number;
  readonly maxMessageBytes: number;
  readonly heartbeatIntervalMs: number;
  /** How long the feed waits for a catalog that fits a table again, before it sets the resource aside. */
  readonly misfitGraceMs: number;
}

export interface SessionDeps {
  readonly source: Queryable;
  /** For resources with their parents' accounts; undefined in a catalog without any. */
  readonly routes?: RoutesSource | undefined;
  readonly kafka: KafkaClient;
  readonly codec: MessageCodec;
  readonly catalog: Catalog;
  readonly knownColumns: KnownColumns;
  readonly topics: Topics;
  readonly changesPartitionCount: number;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<RegisteredSchema>;
  readonly subjects: Subjects;
  readonly log: Log;
  readonly metrics: Pick<CaptureMetrics, 'published'>;
  readonly onStreaming: () => void;
  /** Creates missing topics. */
  readonly ensureTopics: () => Promise<void>;
  /**
   * Findings that have to be corrected before the feed starts for the first time. `source prepare` corrects them,
   * unless no resource fits. A feed that has started continues.
   */
  readonly unfitForStart: readonly Finding[];
  /** Resources that did not fit the catalog when the process started. The feed continues without them. */
  readonly refused: readonly string[];
  readonly misfitTimes: MisfitTimes;
  readonly resumeHistory: ResumeHistory;
  /** Called with the function that lists the set-aside resources. */
  readonly onSetAsides: (all: () => readonly SetAside[]) => void;
}
