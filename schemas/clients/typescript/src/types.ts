import type { OperationId, Operations } from './generated.ts';

export type {
  Attempt,
  BulkAccepted,
  BulkDone,
  BulkDryRun,
  BulkFile,
  BulkItemResult,
  BulkOperation as BulkJob,
  DeadLetter,
  Export,
  ExportEstimate,
  ExportFile,
  FailedReplay,
  FeedStatus,
  Redelivery,
  Resource,
  Webhook,
  WebhookTest,
  WebhookWithSecret,
} from './generated.ts';

/** The query of an operation. */
export type Query<Id extends OperationId> = Exclude<Operations[Id]['query'], undefined>;

/** The body of an operation's request. */
export type Body<Id extends OperationId> = Exclude<Operations[Id]['body'], undefined>;

/** What `exports.create` takes. For an estimate there is `exports.estimate`. */
export type ExportRequest = Omit<Body<'createExport'>, 'dry_run' | 'account_id'>;

/** What `bulk.create`, `bulk.run` and `bulk.estimate` take. */
export type BulkRequest = Omit<Body<'createBulkOperation'>, 'async' | 'dry_run' | 'account_id'>;

/** An event, as webhooks and `events` have it. */
export interface Event<Data = Readonly<Record<string, unknown>>> {
  readonly id: string;
  /** `invoice.created`, `invoice.updated`, `invoice.deleted`, `feed.reset`, or an event of the account. */
  readonly type: string;
  readonly timestamp: string;
  readonly account_id: string;
  /** Positions compare as texts. Null for events of the account, which are not part of the feed. */
  readonly position: string | null;
  readonly resource: string;
  readonly key: Readonly<Record<string, unknown>> | null;
  /** The record, as an export has it. */
  readonly data: Data;
  /** The former values of what an update changed. */
  readonly previous?: Partial<Data>;
  /** Columns of large values that did not change and were not sent again: keep yours. */
  readonly unchanged?: readonly string[];
  /** Columns of a created record whose values are lost. */
  readonly unknown?: readonly string[];
  readonly transaction?: { readonly id: string; readonly index: number };
  /** The bulk job that made the change. */
  readonly source?: { readonly bulk_job_id: string };
}

/** `manifest.json` of an export. */
export interface Manifest {
  readonly export: string;
  readonly account: string | null;
  readonly format: string;
  readonly compression: string;
  readonly rows: number;
  readonly files: readonly {
    readonly name: string;
    readonly resource: string | null;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  /** The columns of each resource, in the order of the rows. */
  readonly schemas: Readonly<Record<string, { readonly columns: readonly ManifestColumn[] }>>;
}

export interface ManifestColumn {
  readonly name: string;
  /** The type in PostgreSQL. */
  readonly type: string;
  /** The type in JSON. */
  readonly json: 'integer' | 'number' | 'boolean' | 'base64' | 'string' | 'any';
  readonly key: boolean;
}
