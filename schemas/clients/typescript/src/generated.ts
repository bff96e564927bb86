// Written by `npm run clients` from the OpenAPI document. Do not edit.
export type CreateExportRequest = {
  readonly resource?: string | undefined;
  readonly resources?: readonly (string)[] | undefined;
  /** digest: row counts and digests instead of rows, to compare a replica with. as_of is then the time of the request unless it is given. */
  readonly format?: "jsonl" | "csv" | "parquet" | "digest" | undefined;
  /** Compression of each file, also inside an archive. Must be none for parquet, which compresses internally. */
  readonly compression?: "none" | "gzip" | "zstd" | undefined;
  /** Packs all files and their manifest into one archive. */
  readonly archive?: "zip" | null | undefined;
  /** For csv: puts an apostrophe before each cell that starts with = + - @, tab or CR. Numbers are left unchanged. */
  readonly csv_safe?: boolean | undefined;
  /** For digest: buckets whose records are listed with their digests. Default: the sums of all buckets. */
  readonly buckets?: readonly (number)[] | undefined;
  readonly date_range?: {
    /** Inclusive. */
    readonly from: string;
    /** Exclusive. Default: the time of the request. */
    readonly to?: string | undefined;
    /** A timestamp column. Default: the range column of the resource in the catalog. */
    readonly field?: string | undefined;
  } | undefined;
  readonly include_deleted?: boolean | undefined;
  readonly include_related?: boolean | undefined;
  /** Columns of the file besides the key columns. For an export of one resource. */
  readonly fields?: readonly (string)[] | undefined;
  /** ID of an earlier export. The files hold the records changed or deleted since its snapshot. */
  readonly changes_since?: string | undefined;
  /** A past time that the feed still covers. The files hold the records as they were at that time, with the same bytes on every export. */
  readonly as_of?: string | undefined;
  /** single: reads all rows under one snapshot, which the source holds until then. chunked: reads them in short transactions, and the feed brings them to the state of one snapshot at the end. Default: chunked for a large export, where the operator has set a size. An export that cannot be chunked is single, and its snapshot says why. */
  readonly snapshot?: "single" | "chunked" | null | undefined;
  /** Limits the read rate on the source database. A slower export holds its snapshot longer. */
  readonly max_rows_per_second?: number | null | undefined;
  /** Estimates rows and duration. Creates no export. */
  readonly dry_run?: boolean | undefined;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type CreateWebhookRequest = {
  readonly url: string;
  readonly events?: readonly (string)[] | undefined;
  readonly start?: "now" | {
    readonly after_export: string;
  } | {
    readonly since: string;
  } | undefined;
  readonly description?: string | null | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly max_in_flight?: number | undefined;
  /** Requests per second. Null: unlimited. */
  readonly rate_limit?: number | null | undefined;
  /** Limits of a batch request. Null: one event per request. */
  readonly batch?: {
    readonly max_events: number;
    /** Maximum time that an event waits for further events of its batch. */
    readonly max_wait_ms: number;
  } | null | undefined;
  /** record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up. */
  readonly order?: "record" | "strict" | undefined;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type UpdateWebhookRequest = {
  readonly url?: string | undefined;
  readonly events?: readonly (string)[] | undefined;
  readonly description?: string | null | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly max_in_flight?: number | undefined;
  /** Requests per second. Null: unlimited. */
  readonly rate_limit?: number | null | undefined;
  /** Limits of a batch request. Null: one event per request. */
  readonly batch?: {
    readonly max_events: number;
    /** Maximum time that an event waits for further events of its batch. */
    readonly max_wait_ms: number;
  } | null | undefined;
  /** record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up. */
  readonly order?: "record" | "strict" | undefined;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type RedeliverEventRequest = {
  readonly webhook_id: string;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type ReplayWebhookRequest = {
  /** A timestamp with a zone, an event ID or a position. With `only`, a timestamp: the same as `from`. */
  readonly since?: string | undefined;
  /** Start exactly where this export’s snapshot ends. */
  readonly after_export?: string | undefined;
  /** Only events whose last attempt failed, given up or waiting for a retry. The position of the webhook endpoint stays. */
  readonly only?: "failed" | undefined;
  /** With `only`: the last attempt failed at this time or later. */
  readonly from?: string | undefined;
  /** With `only`: the last attempt failed before this time. Default, and at most: now. */
  readonly to?: string | undefined;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type CreateBulkOperationRequest = {
  readonly resource: string;
  readonly operation: string;
  readonly ids?: readonly (string | number | readonly (string | number)[])[] | undefined;
  /** {field: {eq, ne, in, gt, gte, lt, lte, is_null, prefix}}, combined by "and" and "or" with lists of filters. Limits: 100 conditions, 5 levels, 10000 values in all lists of "in". Values have the same text form as in export files. */
  readonly filter?: Readonly<Record<string, unknown>> | undefined;
  readonly file_id?: string | undefined;
  /** Parameters of the operation. Numbers keep all their digits. At most 200 members and 65536 bytes of JSON. */
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly async?: boolean | undefined;
  readonly semantics?: "snapshot" | "live" | undefined;
  /** Confirms a filter that matches every record. */
  readonly all?: boolean | undefined;
  /** Counts the items and returns a sample. Creates no job. */
  readonly dry_run?: boolean | undefined;
  /** Fails the job once this many items have failed. Chunks already claimed still finish, so up to max(max_failures, 20) more items per worker may run. */
  readonly max_failures?: number | undefined;
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type CreateAccountKeyRequest = {
  /** For people. */
  readonly name?: string | undefined;
  /** What the key may do. */
  readonly scopes: readonly ("exports:read" | "exports:write" | "webhooks:read" | "webhooks:write" | "events:read" | "bulk:read" | "bulk:write" | "keys:read" | "keys:write")[];
  /** For the operator only: the account of the request. */
  readonly account_id?: string | undefined;
};
export type CreateAccountRequest = {
  readonly name: string;
  /** Value of the account columns, in any spelling that PostgreSQL accepts. The response has the canonical text: `a0ee…` for `A0EE…` of a uuid, `77` for `77.0` of a numeric. */
  readonly source_id: string;
  readonly limits?: {
    readonly max_running_exports?: number | undefined;
    readonly max_running_bulk_operations?: number | undefined;
    /** Items of bulk jobs that may be processed per period. An omitted member keeps its value. */
    readonly bulk_quota?: {
      /** Null: unlimited. */
      readonly items?: number | null | undefined;
      /** Period after which the quota is full again: a calendar month, week (Monday to Sunday) or day in UTC, or a fixed length. */
      readonly period?: "month" | "week" | "day" | {
        readonly seconds: number;
        /** Start of one period. The other periods follow and precede it without a gap. */
        readonly starting_at?: string | undefined;
      } | undefined;
    } | undefined;
    /** Short form of bulk_quota with this number of items and the period "month". */
    readonly bulk_items_per_month?: number | null | undefined;
  } | undefined;
};
export type UpdateAccountRequest = {
  readonly name?: string | undefined;
  readonly limits?: {
    readonly max_running_exports?: number | undefined;
    readonly max_running_bulk_operations?: number | undefined;
    /** Items of bulk jobs that may be processed per period. An omitted member keeps its value. */
    readonly bulk_quota?: {
      /** Null: unlimited. */
      readonly items?: number | null | undefined;
      /** Period after which the quota is full again: a calendar month, week (Monday to Sunday) or day in UTC, or a fixed length. */
      readonly period?: "month" | "week" | "day" | {
        readonly seconds: number;
        /** Start of one period. The other periods follow and precede it without a gap. */
        readonly starting_at?: string | undefined;
      } | undefined;
    } | undefined;
    /** Short form of bulk_quota with this number of items and the period "month". */
    readonly bulk_items_per_month?: number | null | undefined;
  } | undefined;
};
export type CreateKeyRequest = {
  readonly name?: string | undefined;
  readonly scopes?: readonly ("exports:read" | "exports:write" | "webhooks:read" | "webhooks:write" | "events:read" | "bulk:read" | "bulk:write" | "keys:read" | "keys:write")[] | undefined;
};
export type CreatePortalLinkRequest = {
  /** What the session may do. Without it: all scopes that end in `:read`. With `keys:write` it makes API keys with its scopes, which stay when the session ends. */
  readonly scopes?: readonly ("exports:read" | "exports:write" | "webhooks:read" | "webhooks:write" | "events:read" | "bulk:read" | "bulk:write" | "keys:read" | "keys:write")[] | undefined;
  /** Seconds in which the link can be opened. */
  readonly expires_in?: number | undefined;
  /** The page that the link leads to. */
  readonly next?: string | undefined;
  /** Without it: as the browser prefers. */
  readonly theme?: "light" | "dark" | undefined;
  /** Of texts, numbers and times. Without it: as the browser prefers. */
  readonly locale?: "en-US" | "en-GB" | "de-DE" | "de-AT" | "de-CH" | undefined;
  /** Leaves out the header and the menu, for a frame within your own. */
  readonly hide_navigation?: boolean | undefined;
};
export type ExportEstimate = {
  readonly dry_run: true;
  readonly resources: readonly (string)[];
  readonly estimated_rows: number | null;
  readonly estimated_bytes: number | null;
  readonly estimated_duration_seconds: number | null;
  /** Why the export would be refused at this moment. Null: it would start, or wait in the queue. */
  readonly refusal: {
    readonly code: "feed_behind" | "too_many";
    readonly detail: string;
  } | null;
};
export type Export = {
  readonly id: string;
  /** Null: all accounts at once. */
  readonly account_id: string | null;
  readonly status: "pending" | "running" | "paused" | "cancelling" | "completed" | "failed" | "cancelled" | "expired";
  readonly phase: "queued" | "waiting_for_feed" | "extracting" | "assembling" | "done";
  readonly resources: readonly (string)[];
  readonly format: string;
  readonly compression: string;
  readonly archive: string | null;
  readonly csv_safe: boolean;
  readonly buckets: readonly (number)[] | null;
  readonly include_deleted: boolean;
  readonly include_related: boolean;
  readonly date_range: {
    readonly from: string;
    readonly to: string;
    readonly field: string | null;
  } | null;
  readonly fields: readonly (string)[] | null;
  readonly changes_since: string | null;
  /** Time of the exported state. Null: the time of the snapshot. */
  readonly as_of: string | null;
  /** Null: unlimited. */
  readonly max_rows_per_second: number | null;
  readonly rows: {
    readonly estimated: number | null;
    readonly extracted: number;
    readonly written: number;
  };
  /** Never falls, also when the export starts again with a new snapshot. */
  readonly progress: number;
  /** Never grows. Null until a rate is known, and while it takes much longer than was said. */
  readonly eta_seconds: number | null;
  /** Position in the queue of the account while pending: 1 starts next. */
  readonly queue_position?: number | undefined;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly expires_at: string | null;
  /** Only while paused: the export fails at this time unless it is resumed. */
  readonly pause_expires_at?: string | undefined;
  readonly snapshot: {
    /** chunked: the rows were read in short transactions before the snapshot, and changed records come from the feed. */
    readonly kind: "single" | "chunked";
    /** Why it is single although a chunked one was asked for. Null: it was not. */
    readonly reason: string | null;
    readonly taken_at: string;
    readonly lsn: string;
    readonly xmin: string;
    readonly xmax: string;
    readonly xip: readonly (string)[];
  } | null;
  /** Of an export with as_of, once it is known: the exported state has every event with a smaller position, and no other. */
  readonly cut: {
    readonly position: string;
  } | null;
  /** Only a completed export has files. */
  readonly files: readonly (ExportFile)[];
  readonly manifest_url: string | null;
  readonly error?: {
    readonly code: string;
    readonly message: string;
  } | undefined;
};
export type ExportFile = {
  readonly name: string;
  /** Null: archive of all resources. */
  readonly resource: string | null;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Requires the key. Redirects to a new presigned URL. */
  readonly content_url: string;
  /** Presigned URL. Requires no key. Valid until url_expires_at. */
  readonly url: string;
  readonly url_expires_at: string;
  /** Of the format digest: the sum of the digests of all records, in hexadecimal. */
  readonly digest?: string | undefined;
  /** Files of the archive. */
  readonly members?: readonly (ArchiveMember)[] | undefined;
};
export type ArchiveMember = {
  readonly name: string;
  readonly resource: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
};
export type ExportList = {
  readonly data: readonly (Export)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type ExportChunkPage = {
  readonly data: readonly (ExportChunk)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
  /** Chunks of the whole export by state, whatever the page and the filter. */
  readonly counts: {
    readonly planned: number;
    readonly reading: number;
    readonly extracted: number;
    readonly written: number;
  };
  /** The same for each resource whose chunks are known, in the order of names. */
  readonly resources: readonly ({
    readonly resource: string;
    readonly counts: {
      readonly planned: number;
      readonly reading: number;
      readonly extracted: number;
      readonly written: number;
    };
    readonly rows: {
      readonly planned: number;
      readonly extracted: number;
      readonly written: number;
    };
  })[];
  /** Whether all chunks are known. Until then their number grows. */
  readonly is_planned: boolean;
};
export type ExportChunk = {
  readonly resource: string;
  /** Number within the resource, in key order. */
  readonly chunk: number;
  /** planned: waits for a reader. reading: an extractor reads its rows. extracted: all rows are read. written: all rows are stored. */
  readonly state: "planned" | "reading" | "extracted" | "written";
  readonly rows: {
    /** Rows of the chunk in the snapshot. */
    readonly planned: number;
    readonly extracted: number;
    readonly written: number;
  };
  /** Times that an extractor has begun to read it. */
  readonly attempts: number;
  /** Start of the latest attempt. */
  readonly started_at: string | null;
  readonly extracted_at: string | null;
  readonly written_at: string | null;
};
export type WebhookWithSecret = {
  readonly id: string;
  readonly account_id: string;
  readonly url: string;
  readonly events: readonly (string)[];
  readonly description: string | null;
  /** Values are [hidden] when the key lacks the scope webhooks:write. */
  readonly headers: Readonly<Record<string, string>>;
  readonly max_in_flight: number;
  /** Requests per second. */
  readonly rate_limit: number | null;
  /** Limits of a batch request. Null: one event per request. */
  readonly batch: {
    readonly max_events: number;
    /** Maximum time that an event waits for further events of its batch. */
    readonly max_wait_ms: number;
  } | null;
  /** record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up. */
  readonly order: "record" | "strict";
  /** With order strict: ID of the failed event that is retried. All later events wait for it. */
  readonly held_by: string | null;
  readonly status: "active" | "paused" | "disabled";
  readonly status_reason: string | null;
  readonly start: unknown;
  /** All events up to this position are delivered or given up. */
  readonly position: string;
  readonly failures_in_row: number;
  readonly failing_since: string | null;
  readonly resting_until: string | null;
  /** Number of secrets that sign. More than one after a rotation. */
  readonly secret_count: number;
  /** Until this time secrets from before the last rotation sign too. Null: there is none. */
  readonly old_secret_valid_until: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  /** The secret (whsec_…). Shown only in this response. */
  readonly secret?: string | undefined;
  /** Why the secret is not shown: another API key has repeated the request. */
  readonly secret_withheld?: string | undefined;
};
export type WebhookList = {
  readonly data: readonly (Webhook)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type Webhook = {
  readonly id: string;
  readonly account_id: string;
  readonly url: string;
  readonly events: readonly (string)[];
  readonly description: string | null;
  /** Values are [hidden] when the key lacks the scope webhooks:write. */
  readonly headers: Readonly<Record<string, string>>;
  readonly max_in_flight: number;
  /** Requests per second. */
  readonly rate_limit: number | null;
  /** Limits of a batch request. Null: one event per request. */
  readonly batch: {
    readonly max_events: number;
    /** Maximum time that an event waits for further events of its batch. */
    readonly max_wait_ms: number;
  } | null;
  /** record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up. */
  readonly order: "record" | "strict";
  /** With order strict: ID of the failed event that is retried. All later events wait for it. */
  readonly held_by: string | null;
  readonly status: "active" | "paused" | "disabled";
  readonly status_reason: string | null;
  readonly start: unknown;
  /** All events up to this position are delivered or given up. */
  readonly position: string;
  readonly failures_in_row: number;
  readonly failing_since: string | null;
  readonly resting_until: string | null;
  /** Number of secrets that sign. More than one after a rotation. */
  readonly secret_count: number;
  /** Until this time secrets from before the last rotation sign too. Null: there is none. */
  readonly old_secret_valid_until: string | null;
  readonly created_at: string;
  readonly updated_at: string;
};
export type WebhookTest = {
  readonly event_id: string;
  readonly webhook_id: string;
  readonly started_at?: string | undefined;
  readonly duration_ms?: number | undefined;
  /** HTTP status of the response. Null without a response. */
  readonly status?: number | null | undefined;
  /** delivered, failed, an error class, or under_way. */
  readonly outcome: string;
  readonly excerpt?: string | null | undefined;
};
export type DeadLetterList = {
  readonly data: readonly (DeadLetter)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type DeadLetter = {
  readonly event_id: string;
  /** Null once the event is no longer retained. */
  readonly type: string | null;
  readonly position: string;
  /** The record of the event: <resource>/<key>. */
  readonly record: string;
  readonly attempts: number;
  readonly last_attempt_at: string | null;
  /** HTTP status of the last response. Null without a response. */
  readonly status: number | null;
  /** failed, or an error class. */
  readonly outcome: string;
  readonly excerpt: string | null;
};
export type Redelivery = {
  readonly event_id: string;
  readonly webhook_id: string;
  readonly state: "queued" | "upcoming" | "in_export";
};
export type EventDeliveryList = {
  readonly data: readonly (EventDelivery)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type EventDelivery = {
  readonly webhook_id: string;
  readonly url: string;
  /** delivered: a response accepted it. retrying: an attempt failed, and the next is scheduled. waiting: earlier events of its record come first. dead: it was given up. upcoming: the endpoint has not reached it. in_export: the endpoint starts after an export that holds it. not_subscribed: the endpoint does not subscribe to its type. passed: the position is past it and no attempt is retained. */
  readonly state: "delivered" | "retrying" | "waiting" | "dead" | "upcoming" | "in_export" | "not_subscribed" | "passed";
  /** Attempts that failed since the event was first scheduled. */
  readonly failed_attempts: number;
  readonly next_attempt_at: string | null;
  /** The latest attempt that is retained. */
  readonly last_attempt: Attempt | null;
};
export type Attempt = {
  readonly id: string;
  /** ID of the event, or of the first event of the batch. */
  readonly event_id: string;
  /** Null: the request held one event. */
  readonly batch: {
    readonly id: string;
    readonly event_count: number;
    readonly last_event_id: string;
  } | null;
  readonly attempt: number;
  readonly started_at: string;
  readonly duration_ms: number;
  /** HTTP status of the response. Null without a response. */
  readonly status: number | null;
  /** delivered, failed (a response without success), or the class of an error: invalid_url, address_refused, dns, refused, unreachable, reset, tls, timeout, protocol, oversized, aborted. */
  readonly outcome: string;
  /** The first 1,024 bytes of the response body, or the text of the error. */
  readonly excerpt: string | null;
};
/** Events whose last attempt failed in this time are scheduled. */
export type FailedReplay = {
  readonly from: string;
  readonly to: string;
  readonly requested_at: string;
};
export type AttemptList = {
  readonly data: readonly (Attempt)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type AttemptDetails = {
  readonly id: string;
  /** ID of the event, or of the first event of the batch. */
  readonly event_id: string;
  /** Null: the request held one event. */
  readonly batch: {
    readonly id: string;
    readonly event_count: number;
    readonly last_event_id: string;
  } | null;
  readonly attempt: number;
  readonly started_at: string;
  readonly duration_ms: number;
  /** HTTP status of the response. Null without a response. */
  readonly status: number | null;
  /** delivered, failed (a response without success), or the class of an error: invalid_url, address_refused, dns, refused, unreachable, reset, tls, timeout, protocol, oversized, aborted. */
  readonly outcome: string;
  /** The first 1,024 bytes of the response body, or the text of the error. */
  readonly excerpt: string | null;
  /** The events of the request, in its order. */
  readonly event_ids: readonly (string)[];
  /** Null when no request was sent, or the attempt is older than this record. */
  readonly request: {
    readonly method: "POST";
    /** Headers that you configured have their values hidden. The signing secret is in none. */
    readonly headers: Readonly<Record<string, string>>;
    /** The text that was signed and sent, rebuilt from the events. Null once one of them is no longer retained, or when the key lacks the scope events:read. */
    readonly body: string | null;
    /** Length of the whole body. Null without `body`. */
    readonly body_bytes: number | null;
    /** Only the beginning of the body is shown. */
    readonly is_body_cut: boolean;
  } | null;
  /** Null without a response, or when the attempt is older than this record. */
  readonly response: {
    readonly status: number;
    /** In lower case. Values of more than 200 characters are shortened, those of secret headers hidden. */
    readonly headers: Readonly<Record<string, string>>;
    /** Headers that are not shown, because there were too many. */
    readonly headers_omitted: number;
    /** The first 1,024 bytes. */
    readonly body: string;
    /** The body was longer. */
    readonly is_body_cut: boolean;
  } | null;
};
export type WebhookStats = {
  readonly webhook_id: string;
  /** The start of the first bucket. */
  readonly from: string;
  /** The end of the last bucket. */
  readonly to: string;
  /** Requests, without tests. */
  readonly attempts: {
    readonly delivered: number;
    readonly failed: number;
  };
  /** Events of those requests. An event counts as failed once for each attempt that failed. */
  readonly events: {
    readonly delivered: number;
    readonly failed: number;
  };
  /** Time of an attempt, at most a fifth off. Null without attempts. */
  readonly duration_ms: {
    readonly p50: number;
    readonly p95: number;
  } | null;
  /** What the endpoint has yet to get, now. */
  readonly behind_by: {
    /** Events that are recorded for the endpoint and not delivered yet. */
    readonly events: number;
    /** False: at least that many. At most 10,000 events after the position are examined. */
    readonly is_exact: boolean;
    /** Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow. */
    readonly seconds: number | null;
  };
  /** Events that failed and wait for their next attempt, now. */
  readonly retrying: number;
  /** Events that were given up and can be delivered again, now. At most 10,000 are counted. */
  readonly dead_letters: number;
  /** The replay of failed events that is running. Null: none is. */
  readonly failed_replay: FailedReplay | null;
  readonly bucket_seconds: 300;
  /** By the start of the attempts. Buckets without an attempt are left out. */
  readonly buckets: readonly ({
    /** The start of the bucket. */
    readonly at: string;
    /** Requests, without tests. */
    readonly attempts: {
      readonly delivered: number;
      readonly failed: number;
    };
    /** Events of those requests. An event counts as failed once for each attempt that failed. */
    readonly events: {
      readonly delivered: number;
      readonly failed: number;
    };
    /** Time of an attempt, at most a fifth off. Null without attempts. */
    readonly duration_ms: {
      readonly p50: number;
      readonly p95: number;
    } | null;
  })[];
};
export type EventList = {
  readonly data: readonly (unknown)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type FeedStatus = {
  /** Set while the feed delivers no changes of any resource, else null. */
  readonly stalled: {
    /** The data.reason of feed.stalled or feed.reset. */
    readonly reason: string;
    readonly since: string;
  } | null;
  /** Resources whose changes are not delivered. A feed.reset announces the end. */
  readonly set_aside: readonly ({
    readonly resource: string;
    /** The data.reason of feed.stalled or feed.reset. */
    readonly reason: string;
    readonly since: string;
  })[];
};
export type BulkResponse = BulkDone | BulkDryRun;
export type BulkDone = {
  readonly resource: string;
  readonly operation: string;
  readonly status: "completed";
  readonly processed: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  readonly total: number;
  /** In the order of the request. */
  readonly results: readonly (BulkItemResult)[];
};
export type BulkItemResult = {
  readonly item_id: string;
  readonly status: "succeeded" | "failed" | "skipped";
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** Line in the file of IDs. */
  readonly line?: number | undefined;
  readonly at: string;
};
export type BulkDryRun = {
  readonly dry_run: true;
  readonly resource: string;
  readonly operation: string;
  readonly estimated_items: number;
  readonly estimated_duration_seconds: number;
  /** The first items. Empty for a file of IDs. */
  readonly sample: readonly ({
    readonly item_id: string;
    /** The record as files and events write it, without values of more than 2,000 characters. Absent: there is none, or the key lacks the scope exports:read. */
    readonly record?: Readonly<Record<string, unknown>> | undefined;
  })[];
};
export type BulkAccepted = {
  readonly job_id: string;
  readonly status: "pending" | "running" | "paused" | "cancelled" | "completed" | "failed";
  readonly estimated_items: number;
  readonly estimated_duration_seconds: number;
};
export type BulkOperationList = {
  readonly data: readonly (BulkOperation)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type BulkOperation = {
  readonly job_id: string;
  readonly account_id: string;
  readonly resource: string;
  readonly operation: string;
  readonly semantics: "snapshot" | "live";
  readonly status: "pending" | "running" | "paused" | "cancelled" | "completed" | "failed";
  /** Always succeeded + failed + skipped. */
  readonly processed: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  /** An estimate until the items are listed. */
  readonly total: number;
  readonly created_at: string;
  /** Time at which the item list was complete. The job is pending before and running after. */
  readonly started_at: string | null;
  readonly last_updated_at: string;
  readonly ended_at: string | null;
  /** Null while paused and until a rate is known. */
  readonly eta_seconds: number | null;
  readonly quota: {
    /** Items per period of the account. Null: unlimited. */
    readonly limit: number | null;
    readonly used: number;
    readonly remaining: number | null;
    readonly resets_at: string;
  };
  readonly recent_errors: readonly ({
    readonly item_id: string;
    readonly code: string;
    readonly message: string;
    readonly at: string;
  })[];
  readonly error_summary: readonly ({
    readonly code: string;
    readonly count: number;
  })[];
  /** Position in the queue of the account: 1 starts next. Absent while the items are listed. */
  readonly queue_position?: number | undefined;
  /** `handler`: the handler is unavailable. `feed`: the change feed is too far behind. `quota`: the quota is used up. These three end without a request. `requested`: ends with a resume. */
  readonly pause_reason?: "requested" | "quota" | "handler" | "feed" | undefined;
  /** Time at which the job resumes, if it waits for its quota or its handler. */
  readonly resumes_at?: string | undefined;
  readonly error?: {
    readonly code: string;
    readonly message: string;
  } | undefined;
};
export type BulkItemResultList = {
  readonly data: readonly (BulkItemResult)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type BulkFile = {
  readonly file_id: string;
  /** Non-blank lines without the header. */
  readonly items: number;
  /** Lines that are valid IDs, of `resource` where the upload gives it. Other lines become failed items. */
  readonly ids: number;
  /** The first 20 lines that are not valid IDs. */
  readonly bad_lines: readonly ({
    readonly line: number;
    readonly code: "too_long" | "quotes" | "columns" | "invalid_id";
    readonly detail: string;
  })[];
  /** The first line, if it is the name of a key column. */
  readonly header?: string | undefined;
  readonly bytes: number;
  readonly created_at: string;
  readonly expires_at: string;
};
export type AccountOverview = {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
  /** The key of this request. Null: the key of the operator. */
  readonly key: {
    readonly id: string;
    readonly name: string | null;
    readonly scopes: readonly (string)[];
  } | null;
  readonly limits: {
    readonly max_running_exports: number;
    readonly max_queued_exports: number;
    /** Running and paused bulk jobs. */
    readonly max_running_bulk_operations: number;
    readonly max_queued_bulk_operations: number;
    /** IDs in one request. A file of IDs may hold more. */
    readonly max_bulk_ids: number;
    readonly max_bulk_file_bytes: number;
    readonly max_webhooks: number;
    readonly max_body_bytes: number;
    /** Of the account. */
    readonly requests_per_second: number;
    /** Of each key, without downloads. Null: unlimited. */
    readonly requests_per_minute: number | null;
    readonly max_open_requests: number;
    /** Files that are sent at once. */
    readonly max_downloads: number;
    /** How long events can be read and replayed. */
    readonly event_retention_days: number;
  };
  /** Items of bulk jobs and synchronous operations in the present period. Null: the key lacks the scope bulk:read. */
  readonly bulk_quota: {
    /** Items per period. Null: unlimited. */
    readonly limit: number | null;
    readonly used: number;
    readonly remaining: number | null;
    readonly resets_at: string;
    /** A calendar period in UTC, or periods of a fixed length counted from a start. */
    readonly period: "month" | "week" | "day" | {
      readonly seconds: number;
      readonly starting_at: string;
    };
  } | null;
  /** Null: the key lacks the scope exports:read. */
  readonly exports: {
    readonly running: number;
    readonly queued: number;
    readonly paused: number;
    /** Running jobs, then the queue in its order, 100 at most. */
    readonly jobs: readonly ({
      readonly id: string;
      readonly status: string;
      /** Position in the queue of the account: 1 starts next. Absent for a job that has its turn. */
      readonly queue_position?: number | undefined;
      readonly created_at: string;
      readonly resources: readonly (string)[];
      /** digest: a check of a replica. */
      readonly format: string;
    })[];
  } | null;
  /** Null: the key lacks the scope bulk:read. */
  readonly bulk_operations: {
    readonly running: number;
    readonly queued: number;
    readonly paused: number;
    /** Running jobs, then the queue in its order, 100 at most. */
    readonly jobs: readonly ({
      readonly id: string;
      readonly status: string;
      /** Position in the queue of the account: 1 starts next. Absent for a job that has its turn. */
      readonly queue_position?: number | undefined;
      readonly created_at: string;
      readonly resource: string;
      readonly operation: string;
      readonly processed: number;
      /** An estimate until the items are listed. */
      readonly total: number;
    })[];
  } | null;
  /** Null: the key lacks the scope webhooks:read. */
  readonly webhooks: {
    readonly active: number;
    readonly paused: number;
    readonly disabled: number;
  } | null;
  /** Null: the key lacks the scope events:read. */
  readonly feed: {
    /** Set while the feed delivers no changes of any resource, else null. */
    readonly stalled: {
      /** The data.reason of feed.stalled or feed.reset. */
      readonly reason: string;
      readonly since: string;
    } | null;
    /** Resources whose changes are not delivered. A feed.reset announces the end. */
    readonly set_aside: readonly ({
      readonly resource: string;
      /** The data.reason of feed.stalled or feed.reset. */
      readonly reason: string;
      readonly since: string;
    })[];
    /** Position of the newest event of the account. Null: there is none. */
    readonly position: string | null;
    /** Seconds since the feed last moved, about ten at most on an idle source. Null: it has not started. */
    readonly age_seconds: number | null;
  } | null;
};
export type KeyList = {
  readonly data: readonly (Key)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type Key = {
  readonly id: string;
  readonly account_id: string;
  readonly name: string | null;
  /** How the key begins. Null: the key is older than this field. */
  readonly prefix: string | null;
  readonly scopes: readonly (string)[];
  /** ID of the key that made it. Null: the operator did, or the key is older than this field. */
  readonly made_by: string | null;
  readonly created_at: string;
  /** The last request with the key, to the minute. Null: no request is known. */
  readonly last_used_at: string | null;
  readonly revoked_at: string | null;
};
export type NewKey = {
  readonly id: string;
  readonly account_id: string;
  readonly name: string | null;
  /** How the key begins. Null: the key is older than this field. */
  readonly prefix: string | null;
  readonly scopes: readonly (string)[];
  /** ID of the key that made it. Null: the operator did, or the key is older than this field. */
  readonly made_by: string | null;
  readonly created_at: string;
  /** The last request with the key, to the minute. Null: no request is known. */
  readonly last_used_at: string | null;
  readonly revoked_at: string | null;
  /** Shown only in this response. */
  readonly key?: string | undefined;
  /** Why the secret is not shown: another API key has repeated the request. */
  readonly secret_withheld?: string | undefined;
};
export type ResourceList = {
  readonly data: readonly (Resource)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type Resource = {
  readonly name: string;
  /** Fields that identify a record, in this order. */
  readonly key: readonly (string)[];
  /** The field that has the time of a soft deletion. Null: there is none, or it is not shown. */
  readonly soft_delete: string | null;
  /** In the order of files and events. */
  readonly fields: readonly (ResourceField)[];
  /** Resources that records of this one refer to, or are referred by. */
  readonly related: readonly (string)[];
  readonly exports: {
    readonly formats: readonly ("jsonl" | "csv" | "parquet")[];
    /** Of jsonl and csv. */
    readonly compressions: readonly ("none" | "gzip" | "zstd")[];
    /** Whether there are soft-deleted records to include. */
    readonly include_deleted: boolean;
    /** Resources that `include_related` adds, over any number of steps. */
    readonly include_related: readonly (string)[];
    readonly changes_since: boolean;
    readonly as_of: boolean;
    readonly date_range: {
      /** Null: a request gives `field`. */
      readonly default_field: string | null;
      /** Fields that `date_range.field` may name. */
      readonly fields: readonly (string)[];
    };
  };
  /** What bulk jobs can do with records. */
  readonly operations: readonly (ResourceOperation)[];
  /** Whether a bulk job may select records by `ids` or a file. Else: by `filter`. */
  readonly selectable_by_ids: boolean;
  /** Items of a request without `async`. */
  readonly max_sync_items: number;
  readonly event_types: readonly (string)[];
  /** Why exports and bulk jobs of the resource are refused: its table does not fit the catalog, and the operator must act. Null: they are not. */
  readonly unfit: {
    readonly code: string;
    readonly detail: string;
  } | null;
  /** A record made from the types of the fields, not from anybody’s data. */
  readonly example: Readonly<Record<string, unknown>>;
};
export type ResourceField = {
  readonly name: string;
  /** The type in PostgreSQL, such as `numeric(10,2)`. For people. */
  readonly type: string;
  /** The type in JSON. An integer may have more digits than a double. A number may also be `"NaN"`, `"Infinity"` or `"-Infinity"`. */
  readonly json_type: "integer" | "number" | "string" | "boolean" | "array" | "object" | "any";
  /** The form of a string. `date-time` has a zone, `local-date-time` has none, and both may be `infinity` or `-infinity`. */
  readonly format: "date-time" | "local-date-time" | "date" | "time" | "decimal" | "uuid" | "base64" | null;
  readonly nullable: boolean;
  /** All values of an enum, or of the elements of an array, in their order. Null: any. */
  readonly values: readonly (string)[] | null;
  /** Characters of a string. Null: unlimited. */
  readonly max_length: number | null;
  readonly is_key: boolean;
  /** Conditions that a filter of a bulk job may have on the field. */
  readonly filters: readonly ("eq" | "ne" | "in" | "gt" | "gte" | "lt" | "lte" | "prefix" | "is_null")[];
};
export type ResourceOperation = {
  readonly name: string;
  /** update: sets fields. delete: deletes the record, softly if the resource has soft_delete. handler: calls a service. */
  readonly kind: "update" | "delete" | "handler";
  /** Parameters. A request gives at least one of them, if there are any. */
  readonly params: readonly ({
    readonly name: string;
    /** The type in PostgreSQL, such as `numeric(10,2)`. For people. */
    readonly type: string;
    /** The type in JSON. An integer may have more digits than a double. A number may also be `"NaN"`, `"Infinity"` or `"-Infinity"`. */
    readonly json_type: "integer" | "number" | "string" | "boolean" | "array" | "object" | "any";
    /** The form of a string. `date-time` has a zone, `local-date-time` has none, and both may be `infinity` or `-infinity`. */
    readonly format: "date-time" | "local-date-time" | "date" | "time" | "decimal" | "uuid" | "base64" | null;
    readonly nullable: boolean;
    /** All values of an enum, or of the elements of an array, in their order. Null: any. */
    readonly values: readonly (string)[] | null;
    /** Characters of a string. Null: unlimited. */
    readonly max_length: number | null;
  })[];
  /** What an update sets besides its parameters. Hidden fields are left out. */
  readonly sets: readonly ({
    readonly name: string;
    readonly value: string | number | boolean | null;
  })[];
  /** The handler checks the parameters, which are not listed. */
  readonly takes_any_params: boolean;
};
export type EventTypeList = {
  readonly data: readonly (EventType)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type EventType = {
  readonly type: string;
  /** Subscribes to all types of this group. */
  readonly pattern: string;
  /** The resource of record events, else null. */
  readonly resource: string | null;
  /** Whether `GET /events` lists such events. Others reach only webhook endpoints. */
  readonly is_in_feed: boolean;
  /** Markdown. */
  readonly description: string;
  /** A body. Null: the fields are not known, because the source database does not respond or has no such table. */
  readonly example: Readonly<Record<string, unknown>> | null;
};
export type Account = {
  readonly id: string;
  readonly name: string;
  /** Value of the account column in its PostgreSQL text form. */
  readonly source_id: string;
  readonly limits: {
    readonly max_running_exports: number;
    readonly max_running_bulk_operations: number;
    readonly bulk_quota: {
      /** Items that may be processed per period. Null: unlimited. */
      readonly items: number | null;
      /** A calendar period in UTC, or periods of a fixed length counted from a start. */
      readonly period: "month" | "week" | "day" | {
        readonly seconds: number;
        readonly starting_at: string;
      };
    };
  };
  readonly created_at: string;
};
export type AccountList = {
  readonly data: readonly (Account)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type PortalLink = {
  readonly id: string;
  /** Opens the dashboard once. The code is in the fragment, which browsers send to no server. */
  readonly url: string;
  readonly expires_at: string;
};
export type PortalSessionList = {
  readonly data: readonly (PortalSession)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type PortalSession = {
  readonly id: string;
  readonly scopes: readonly (string)[];
  /** The key that opened it. Null: a portal link. */
  readonly key_id: string | null;
  readonly created_at: string;
  readonly last_seen_at: string;
  /** When it ends at the latest. */
  readonly expires_at: string;
};
export type OperatorSessionList = {
  readonly data: readonly (OperatorSession)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type OperatorSession = {
  readonly id: string;
  readonly created_at: string;
  readonly last_seen_at: string;
  /** When it ends at the latest. */
  readonly expires_at: string;
};
export type AuditEntryList = {
  readonly data: readonly (AuditEntry)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type AuditEntry = {
  readonly id: string;
  readonly at: string;
  /** Null: all accounts at once. */
  readonly account_id: string | null;
  /** operator, the ID of a key or of a session of the dashboard, or link: a request with a presigned URL. */
  readonly actor: string;
  readonly action: string;
  readonly subject_id: string;
  /** Fields and their values. Of keys they are empty when the key lacks the scope keys:read. */
  readonly details: Readonly<Record<string, unknown>>;
};
export type Source = {
  readonly slot: string;
  /** refuse: new exports and bulk jobs get status 503. unknown: the source does not respond. */
  readonly state: "ok" | "warn" | "refuse" | "unknown";
  readonly reasons: readonly (string)[];
  readonly exists: boolean | null;
  readonly active: boolean | null;
  readonly wal_status: string | null;
  /** WAL that the feed has not processed. */
  readonly lag_bytes: number | null;
  /** WAL that the source retains on disk for the slot. */
  readonly retained_bytes: number | null;
  /** WAL that can be written before the slot may lose its WAL. Null without max_slot_wal_keep_size. */
  readonly safe_wal_bytes: number | null;
  /** Retained WAL from which on the state is warn (`SLOT_WARN_BYTES`). 0: off. */
  readonly warn_bytes: number;
  /** Retained WAL from which on new jobs are refused (`SLOT_REFUSE_BYTES`). 0: off. */
  readonly refuse_bytes: number;
  /** Time since the feed last moved. At most about 10 on an idle feed. */
  readonly feed_age_seconds: number | null;
  /** Reason of a feed stall and what to check. Null while the feed moves. */
  readonly stalled: {
    readonly reason: string;
    readonly detail: string;
    readonly since: string;
  } | null;
  /** Resources whose changes are skipped, with the reason and the remedy. A resource resumes without a restart, with a feed.reset. */
  readonly set_aside: readonly ({
    readonly resource: string;
    readonly reason: string;
    readonly detail: string;
    readonly since: string;
  })[];
  /** Transactions open for a second or longer, oldest first. The first export of an account waits for them. Those of other roles need pg_monitor. Null without a response from the source. */
  readonly open_transactions: readonly ({
    /** Null for a prepared transaction. */
    readonly pid: number | null;
    readonly age_seconds: number;
    readonly application: string;
    readonly state: string;
  })[] | null;
  readonly seen_at: string | null;
};
/** A part that cannot be read now is null. */
export type Status = {
  /** When it was read. A reading is kept for some seconds. */
  readonly at: string;
  /** What holds work up, the first cause first. Empty: nothing does. */
  readonly bottlenecks: readonly ({
    readonly code: "feed_gap" | "service_missing" | "capture_idle" | "feed_stalled" | "source_full" | "kafka_silent" | "outbox_waits" | "open_transaction" | "capture_behind" | "recording_behind" | "writing_behind" | "reading_busy" | "exports_at_limit" | "exports_queued" | "bulk_at_limit" | "bulk_handler_away" | "bulk_feed_behind" | "bulk_quota_used" | "bulk_busy" | "deliveries_due" | "receivers_failing";
    readonly detail: string;
    /** What is measured: a number, seconds or bytes, by the code. */
    readonly value: number;
    readonly subject: string | null;
  })[];
  readonly processes: readonly (Process)[] | null;
  readonly source: Source | null;
  /** Transactions that Tandem itself holds on the source, the oldest first. */
  readonly held_transactions: readonly ({
    readonly pid: number;
    readonly age_seconds: number;
    readonly application: string;
    readonly state: string;
    /** It has a snapshot, so VACUUM keeps every row version that is younger. */
    readonly holds_vacuum: boolean;
  })[] | null;
  /** Transaction IDs given out since the oldest snapshot that Tandem holds on the source. */
  readonly held_xmin_age: number | null;
  /** Null without a response from Kafka. Read every ten seconds at most. */
  readonly consumers: readonly (ConsumerGroup)[] | null;
  readonly queues: Queues | null;
};
/** A process of a service. Capture that works without the control store is known by its session on the source, so it has no version and host. */
export type Process = {
  readonly id: string;
  readonly service: string;
  readonly version: string | null;
  readonly host: string | null;
  readonly pid: number | null;
  readonly started_at: string;
  readonly seen_at: string;
  /** silent: it has not reported for 20 seconds, and was not ended in order. It is listed for a day. */
  readonly state: "ready" | "starting" | "silent";
};
export type ConsumerGroup = {
  readonly group: string;
  readonly service: string;
  /** `Stable`, `Empty` where no process of it runs, or another state of Kafka. */
  readonly state: string;
  readonly members: number;
  /** Records that the group has not read, by offsets: markers of transactions count too. */
  readonly lag: number;
  readonly topics: readonly ({
    readonly topic: string;
    readonly lag: number;
    readonly partitions: readonly ({
      readonly partition: number;
      /** Null: the group has committed no offset, and begins at the end. */
      readonly lag: number | null;
    })[];
  })[];
  /** Further topics of the group, which are not read here. */
  readonly topics_omitted: number;
};
/** What waits and what runs, of all accounts. */
export type Queues = {
  readonly exports: {
    readonly queued: number;
    /** Of those, exports whose account runs as many as it may. */
    readonly queued_by_limit: number;
    readonly oldest_queued_seconds: number | null;
    readonly waiting_for_feed: number;
    readonly extracting: number;
    readonly assembling: number;
    readonly paused: number;
  };
  readonly export_chunks: {
    readonly waiting: number;
    readonly reading: number;
    /** Read, and not in a file yet. */
    readonly unwritten: number;
  };
  readonly bulk: {
    readonly queued: number;
    readonly queued_by_limit: number;
    readonly oldest_queued_seconds: number | null;
    readonly running: number;
    /** Paused by request. */
    readonly paused: number;
    readonly paused_by_quota: number;
    readonly paused_by_handler: number;
    readonly paused_by_feed: number;
  };
  readonly bulk_chunks: {
    readonly waiting: number;
    readonly working: number;
  };
  readonly deliveries: {
    readonly retrying: number;
    /** Of those, deliveries whose next attempt is due. */
    readonly due: number;
    readonly dead: number;
  };
  readonly endpoints: {
    readonly active: number;
    readonly failing: number;
    readonly paused: number;
    readonly disabled: number;
  };
  readonly outbox: {
    readonly waiting: number;
    readonly oldest_seconds: number | null;
  };
};
export type DeadLetterEndpointList = {
  readonly data: readonly (DeadLetterEndpoint)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type DeadLetterEndpoint = {
  readonly webhook_id: string;
  readonly account_id: string;
  readonly account_name: string;
  readonly url: string;
  readonly status: string;
  readonly dead_letters: number;
  /** When the first of them failed for the first time. */
  readonly oldest_at: string;
};
export type FailingEndpointList = {
  readonly data: readonly (FailingEndpoint)[];
  /** Whether another page follows. */
  readonly has_more: boolean;
  /** Send it as `cursor` to get the next page. Null: there is none. */
  readonly next_cursor: string | null;
};
export type FailingEndpoint = {
  readonly webhook_id: string;
  readonly account_id: string;
  readonly account_name: string;
  readonly url: string;
  readonly status: "active" | "disabled";
  readonly status_reason: string | null;
  /** When its failures began. For an endpoint that was disabled without one: when it was last changed. */
  readonly since: string;
  /** Null: no attempt that failed is retained. */
  readonly last_failure: {
    readonly at: string;
    /** HTTP status of the response. Null without a response. */
    readonly status: number | null;
    /** failed, or an error class. */
    readonly outcome: string;
  } | null;
  /** What the endpoint has yet to get, now. */
  readonly behind_by: {
    /** Events that are recorded for the endpoint and not delivered yet. */
    readonly events: number;
    /** False: at least that many. At most 1,000 events after the position are examined. */
    readonly is_exact: boolean;
    /** Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow. */
    readonly seconds: number | null;
  };
};
export type Health = {
  readonly status: string;
};
export type Readiness = {
  readonly status: string;
  readonly checks: Readonly<Record<string, boolean>>;
  /** Conditions that need an operator. Requests are still served. */
  readonly warnings: readonly (string)[];
};
/** A problem document (RFC 9457). Some codes have further members. */
export type Problem = {
  /** Names the code. */
  readonly type: string;
  readonly title: string;
  /** The HTTP status. */
  readonly status: number;
  /** What went wrong, for people. */
  readonly detail: string;
  /** What went wrong, for programs. */
  readonly code: string;
  /** Each fault of the request. */
  readonly errors?: readonly ({
    /** JSON pointer into the body (RFC 6901), or the name of a parameter. */
    readonly pointer: string;
    readonly detail: string;
  })[] | undefined;
  /** The same as X-Request-Id. Name it to support. */
  readonly request_id: string;
};
export interface Operations {
  /** Start an export, or estimate it with dry_run */
  createExport: {
    params: undefined;
    query: undefined;
    body: CreateExportRequest;
    response: ExportEstimate | Export;
  };
  /** List exports */
  listExports: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only exports with this status. */
      readonly status?: "pending" | "running" | "paused" | "cancelling" | "completed" | "failed" | "cancelled" | "expired" | undefined;
      /** Only exports with records of this resource. */
      readonly resource?: string | undefined;
      /** Only exports in this format. */
      readonly format?: "jsonl" | "csv" | "parquet" | "digest" | undefined;
      /** records: without checks of replicas. check: only those, which are in the format digest. */
      readonly kind?: "records" | "check" | undefined;
    };
    body: undefined;
    response: ExportList;
  };
  /** Show an export */
  getExport: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Export;
  };
  /** Delete an export's files immediately; safe to repeat */
  deleteExport: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** Cancel an export; safe to repeat */
  cancelExport: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Export;
  };
  /** Pause an export; safe to repeat */
  pauseExport: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Export;
  };
  /** Resume a paused export; safe to repeat */
  resumeExport: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Export;
  };
  /** Download a file by a redirect to a new presigned URL */
  getExportFile: {
    params: { id: string; name: string };
    query: {
      /** Seconds in which the presigned URL can be opened. Default, and at most: the lifetime of all presigned URLs. */
      readonly expires_in?: number | undefined;
    };
    body: undefined;
    response: undefined;
  };
  /** Download a file by its presigned URL */
  downloadExportFile: {
    params: { id: string; name: string };
    query: undefined;
    body: undefined;
    response: Readonly<Record<string, unknown>>;
  };
  /** List the chunks of an export and their progress */
  listExportChunks: {
    params: { id: string };
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only chunks of this resource. */
      readonly resource?: string | undefined;
      /** planned: waits for a reader. reading: an extractor reads its rows. extracted: all rows are read. written: all rows are stored. */
      readonly state?: "planned" | "reading" | "extracted" | "written" | undefined;
    };
    body: undefined;
    response: ExportChunkPage;
  };
  /** Create a webhook endpoint */
  createWebhook: {
    params: undefined;
    query: undefined;
    body: CreateWebhookRequest;
    response: WebhookWithSecret;
  };
  /** List webhook endpoints */
  listWebhooks: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: WebhookList;
  };
  /** Show a webhook endpoint */
  getWebhook: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Webhook;
  };
  /** Change a webhook endpoint */
  updateWebhook: {
    params: { id: string };
    query: undefined;
    body: UpdateWebhookRequest;
    response: Webhook;
  };
  /** Delete a webhook endpoint and its pending deliveries */
  deleteWebhook: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** Pause deliveries; events are retained */
  pauseWebhook: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Webhook;
  };
  /** Resume deliveries where they stopped */
  resumeWebhook: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Webhook;
  };
  /** Rotate the secret; the old secret also signs for 24 more hours */
  rotateWebhookSecret: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: WebhookWithSecret;
  };
  /** Send one signed webhook.test event now, regardless of the status and filters of the webhook endpoint */
  testWebhook: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: WebhookTest;
  };
  /** List dead letters: deliveries that were given up */
  listDeadLetters: {
    params: { id: string };
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: DeadLetterList;
  };
  /** Deliver an event to a webhook endpoint again with the same webhook-id, also a dead letter */
  redeliverEvent: {
    params: { id: string };
    query: undefined;
    body: RedeliverEventRequest;
    response: Redelivery;
  };
  /** Show what became of an event at each webhook endpoint */
  listEventDeliveries: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: EventDeliveryList;
  };
  /** Deliver all events after a position again, or those that failed */
  replayWebhook: {
    params: { id: string };
    query: undefined;
    body: ReplayWebhookRequest;
    response: Webhook | FailedReplay;
  };
  /** List delivery attempts */
  listWebhookAttempts: {
    params: { id: string };
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** delivered: a 2xx response. failed: anything else. Or the class of an error that left the attempt without a response. */
      readonly outcome?: "delivered" | "failed" | "invalid_url" | "address_refused" | "dns" | "refused" | "unreachable" | "reset" | "tls" | "timeout" | "protocol" | "oversized" | undefined;
      /** Only attempts that sent this event, alone or in a batch. */
      readonly event_id?: string | undefined;
      /** Started at this time or later. */
      readonly from?: string | undefined;
      /** Started before this time. */
      readonly to?: string | undefined;
    };
    body: undefined;
    response: AttemptList;
  };
  /** Show a delivery attempt with its request and response */
  getWebhookAttempt: {
    params: { id: string; attempt_id: string };
    query: undefined;
    body: undefined;
    response: AttemptDetails;
  };
  /** Show delivery statistics, and how far the webhook endpoint is behind */
  getWebhookStats: {
    params: { id: string };
    query: {
      /** Default: a day before `to`. */
      readonly from?: string | undefined;
      /** Default: now. At most 7 days after `from`: older statistics are removed. */
      readonly to?: string | undefined;
    };
    body: undefined;
    response: WebhookStats;
  };
  /** Read the feed after a cursor, an event, a position or an export */
  listEvents: {
    params: undefined;
    query: {
      /** next_cursor, an event ID or a position. */
      readonly after?: string | undefined;
      /** Start exactly where this export’s snapshot ends. */
      readonly after_export?: string | undefined;
      /** Only events of this resource. */
      readonly resource?: string | undefined;
      /** Size of the page. */
      readonly limit?: number | undefined;
    };
    body: undefined;
    response: EventList;
  };
  /** Search events by type, record and time, newest first */
  searchEvents: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Event types, separated by commas, such as `invoice.created,customer.*`. */
      readonly type?: string | undefined;
      /** Only events of this resource. */
      readonly resource?: string | undefined;
      /** With `resource`: only events of the record with this key. A key of several columns is a JSON array of their values. */
      readonly key?: string | undefined;
      /** Committed at this time or later. */
      readonly from?: string | undefined;
      /** Committed before this time. */
      readonly to?: string | undefined;
    };
    body: undefined;
    response: EventList;
  };
  /** Show an event */
  getEvent: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: unknown;
  };
  /** Show whether the feed delivers changes */
  getFeed: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: FeedStatus;
  };
  /** Run an operation on many records, synchronously or as a bulk job with async: true */
  createBulkOperation: {
    params: undefined;
    query: undefined;
    body: CreateBulkOperationRequest;
    response: BulkResponse | BulkAccepted;
  };
  /** List bulk jobs */
  listBulkOperations: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only bulk jobs with this status. */
      readonly status?: "pending" | "running" | "paused" | "cancelled" | "completed" | "failed" | undefined;
    };
    body: undefined;
    response: BulkOperationList;
  };
  /** Show a bulk job */
  getBulkOperation: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: BulkOperation;
  };
  /** List item results in the order of the job, or download all of them as a file with format */
  listBulkResults: {
    params: { id: string };
    query: {
      /** Results per page. Default: 100. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only results with this status. */
      readonly status?: "succeeded" | "failed" | "skipped" | undefined;
      /** Only results with this code. For pages of failed or skipped results. */
      readonly code?: string | undefined;
      /** Returns all results as one file in this format. */
      readonly format?: "jsonl" | "csv" | "parquet" | undefined;
      /** Compression of a jsonl or csv file. */
      readonly compression?: "none" | "gzip" | "zstd" | undefined;
      /** For csv: puts an apostrophe before cells that a spreadsheet would evaluate. */
      readonly csv_safe?: "true" | "false" | undefined;
    };
    body: undefined;
    response: BulkItemResultList;
  };
  /** Cancel a bulk job; finished items stay changed; safe to repeat */
  cancelBulkOperation: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: BulkOperation;
  };
  /** Pause a bulk job; claimed chunks still finish; safe to repeat */
  pauseBulkOperation: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: BulkOperation;
  };
  /** Resume a paused bulk job; safe to repeat */
  resumeBulkOperation: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: BulkOperation;
  };
  /** Upload the item IDs of a bulk job: UTF-8, one ID per line or CSV with one column */
  createBulkFile: {
    params: undefined;
    query: {
      /** Checks each line as an ID of this resource. */
      readonly resource?: string | undefined;
    };
    body: string;
    response: BulkFile;
  };
  /** Show the account: limits, quota, jobs that have not ended, and the state of the feed */
  getAccount: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: AccountOverview;
  };
  /** List the account's API keys without their secrets */
  listAccountKeys: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only keys that are in use, or only revoked ones. Without it: all. */
      readonly status?: "active" | "revoked" | undefined;
    };
    body: undefined;
    response: KeyList;
  };
  /** Create an API key that may do no more than yours */
  createAccountKey: {
    params: undefined;
    query: undefined;
    body: CreateAccountKeyRequest;
    response: NewKey;
  };
  /** Revoke an API key of the account */
  revokeAccountKey: {
    params: { id: string };
    query: {
      /** true: revokes the keys that the key made too, and those that they made. Also for a key that is revoked already. */
      readonly with_made?: "true" | "false" | undefined;
    };
    body: undefined;
    response: undefined;
  };
  /** List the resources with their fields, operations and possibilities */
  listResources: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: ResourceList;
  };
  /** Show a resource */
  getResource: {
    params: { name: string };
    query: undefined;
    body: undefined;
    response: Resource;
  };
  /** List the event types that a webhook endpoint can subscribe to */
  listEventTypes: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: EventTypeList;
  };
  /** Create an account */
  createAccount: {
    params: undefined;
    query: undefined;
    body: CreateAccountRequest;
    response: Account;
  };
  /** List accounts */
  listAccounts: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Part of the name in any case, or a whole ID or `source_id`. */
      readonly search?: string | undefined;
    };
    body: undefined;
    response: AccountList;
  };
  /** Show an account */
  getAccountAsOperator: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: Account;
  };
  /** Change an account's name and limits */
  updateAccount: {
    params: { id: string };
    query: undefined;
    body: UpdateAccountRequest;
    response: Account;
  };
  /** Create a key */
  createKey: {
    params: { id: string };
    query: undefined;
    body: CreateKeyRequest;
    response: NewKey;
  };
  /** List an account's keys without their secrets */
  listKeys: {
    params: { id: string };
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only keys that are in use, or only revoked ones. Without it: all. */
      readonly status?: "active" | "revoked" | undefined;
    };
    body: undefined;
    response: KeyList;
  };
  /** Revoke a key */
  revokeKey: {
    params: { id: string; key_id: string };
    query: {
      /** true: revokes the keys that the key made too, and those that they made. Also for a key that is revoked already. */
      readonly with_made?: "true" | "false" | undefined;
    };
    body: undefined;
    response: undefined;
  };
  /** Make a link into the dashboard of an account */
  createPortalLink: {
    params: { id: string };
    query: undefined;
    body: CreatePortalLinkRequest;
    response: PortalLink;
  };
  /** List who is in the dashboard of an account */
  listPortalSessions: {
    params: { id: string };
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: PortalSessionList;
  };
  /** End all dashboard sessions of an account */
  revokePortalSessions: {
    params: { id: string };
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** End a dashboard session */
  revokePortalSession: {
    params: { id: string; session_id: string };
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** List who is in the operator’s pages of the dashboard */
  listOperatorSessions: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: OperatorSessionList;
  };
  /** End all sessions of the operator’s pages */
  revokeOperatorSessions: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** End a session of the operator’s pages */
  revokeOperatorSession: {
    params: { session_id: string };
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** List audit entries: creation and use of exports, bulk jobs, webhook endpoints, files and keys */
  listAuditEntries: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only entries of this action. */
      readonly action?: "export.created" | "export.paused" | "export.resumed" | "export.cancelled" | "export.deleted" | "export.link_given" | "export.downloaded" | "bulk.created" | "bulk.run" | "bulk.paused" | "bulk.resumed" | "bulk.cancelled" | "bulk.downloaded" | "webhook.created" | "webhook.updated" | "webhook.paused" | "webhook.resumed" | "webhook.secret_rotated" | "webhook.replayed" | "webhook.deleted" | "event.redelivered" | "events.read" | "account.created" | "account.updated" | "key.created" | "key.revoked" | "portal_link.created" | "portal_session.opened" | "portal_session.revoked" | "operator_session.opened" | "operator_session.revoked" | undefined;
      /** ID of an export, a bulk job, a webhook endpoint or a key. */
      readonly subject_id?: string | undefined;
      /** Only entries of this actor: `operator`, `link`, or the ID of a key or a session. */
      readonly actor?: string | undefined;
      /** At this time or later. */
      readonly from?: string | undefined;
      /** Before this time. */
      readonly to?: string | undefined;
      /** For the operator only: the account of the request. */
      readonly account_id?: string | undefined;
    };
    body: undefined;
    response: AuditEntryList;
  };
  /** List the account's audit entries: who created, changed and downloaded what */
  listAccountAuditEntries: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
      /** Only entries of this action. */
      readonly action?: "export.created" | "export.paused" | "export.resumed" | "export.cancelled" | "export.deleted" | "export.link_given" | "export.downloaded" | "bulk.created" | "bulk.run" | "bulk.paused" | "bulk.resumed" | "bulk.cancelled" | "bulk.downloaded" | "webhook.created" | "webhook.updated" | "webhook.paused" | "webhook.resumed" | "webhook.secret_rotated" | "webhook.replayed" | "webhook.deleted" | "event.redelivered" | "events.read" | "account.created" | "account.updated" | "key.created" | "key.revoked" | "portal_link.created" | "portal_session.opened" | "portal_session.revoked" | "operator_session.opened" | "operator_session.revoked" | undefined;
      /** ID of an export, a bulk job, a webhook endpoint or a key. */
      readonly subject_id?: string | undefined;
      /** Only entries of this actor: `operator`, `link`, or the ID of a key or a session. */
      readonly actor?: string | undefined;
      /** At this time or later. */
      readonly from?: string | undefined;
      /** Before this time. */
      readonly to?: string | undefined;
    };
    body: undefined;
    response: AuditEntryList;
  };
  /** Show the lag of the feed and the WAL that the source retains for it */
  getSource: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: Source;
  };
  /** Show what runs, what waits, and what holds work up */
  getStatus: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: Status;
  };
  /** List the webhook endpoints that have dead letters */
  listDeadLetterEndpoints: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: DeadLetterEndpointList;
  };
  /** List the webhook endpoints that fail or were disabled */
  listFailingEndpoints: {
    params: undefined;
    query: {
      /** Size of the page. */
      readonly limit?: number | undefined;
      /** next_cursor of the page before. It belongs to one list with one filter. */
      readonly cursor?: string | undefined;
    };
    body: undefined;
    response: FailingEndpointList;
  };
  /** Metrics for Prometheus */
  getMetrics: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: undefined;
  };
  /** Liveness probe */
  getHealth: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: Health;
  };
  /** Readiness probe */
  getReadiness: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: Readiness;
  };
  /** This API as an OpenAPI 3.1 document */
  getOpenApi: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: unknown;
  };
  /** This API as an OpenAPI 3.1 document, including operator requests */
  getOperatorOpenApi: {
    params: undefined;
    query: undefined;
    body: undefined;
    response: unknown;
  };
}
export type OperationId = keyof Operations;
/** Where each operation is, and what its request carries. */
export const OPERATIONS: { readonly [Id in OperationId]: OperationFacts } = {
  createExport: {"method":"POST","path":"/exports","bodyType":"application/json","creates":true,"takesAccount":true},
  listExports: {"method":"GET","path":"/exports","bodyType":null,"creates":false,"takesAccount":true},
  getExport: {"method":"GET","path":"/exports/{id}","bodyType":null,"creates":false,"takesAccount":true},
  deleteExport: {"method":"DELETE","path":"/exports/{id}","bodyType":null,"creates":false,"takesAccount":true},
  cancelExport: {"method":"POST","path":"/exports/{id}/cancel","bodyType":null,"creates":false,"takesAccount":true},
  pauseExport: {"method":"POST","path":"/exports/{id}/pause","bodyType":null,"creates":false,"takesAccount":true},
  resumeExport: {"method":"POST","path":"/exports/{id}/resume","bodyType":null,"creates":false,"takesAccount":true},
  getExportFile: {"method":"GET","path":"/exports/{id}/files/{name}","bodyType":null,"creates":false,"takesAccount":true},
  downloadExportFile: {"method":"GET","path":"/files/exports/{id}/{name}","bodyType":null,"creates":false,"takesAccount":false},
  listExportChunks: {"method":"GET","path":"/exports/{id}/chunks","bodyType":null,"creates":false,"takesAccount":true},
  createWebhook: {"method":"POST","path":"/webhooks","bodyType":"application/json","creates":true,"takesAccount":true},
  listWebhooks: {"method":"GET","path":"/webhooks","bodyType":null,"creates":false,"takesAccount":true},
  getWebhook: {"method":"GET","path":"/webhooks/{id}","bodyType":null,"creates":false,"takesAccount":true},
  updateWebhook: {"method":"PATCH","path":"/webhooks/{id}","bodyType":"application/json","creates":false,"takesAccount":true},
  deleteWebhook: {"method":"DELETE","path":"/webhooks/{id}","bodyType":null,"creates":false,"takesAccount":true},
  pauseWebhook: {"method":"POST","path":"/webhooks/{id}/pause","bodyType":null,"creates":false,"takesAccount":true},
  resumeWebhook: {"method":"POST","path":"/webhooks/{id}/resume","bodyType":null,"creates":false,"takesAccount":true},
  rotateWebhookSecret: {"method":"POST","path":"/webhooks/{id}/rotate-secret","bodyType":null,"creates":true,"takesAccount":true},
  testWebhook: {"method":"POST","path":"/webhooks/{id}/test","bodyType":null,"creates":false,"takesAccount":true},
  listDeadLetters: {"method":"GET","path":"/webhooks/{id}/dead-letters","bodyType":null,"creates":false,"takesAccount":true},
  redeliverEvent: {"method":"POST","path":"/events/{id}/redeliver","bodyType":"application/json","creates":false,"takesAccount":true},
  listEventDeliveries: {"method":"GET","path":"/events/{id}/deliveries","bodyType":null,"creates":false,"takesAccount":true},
  replayWebhook: {"method":"POST","path":"/webhooks/{id}/replay","bodyType":"application/json","creates":false,"takesAccount":true},
  listWebhookAttempts: {"method":"GET","path":"/webhooks/{id}/attempts","bodyType":null,"creates":false,"takesAccount":true},
  getWebhookAttempt: {"method":"GET","path":"/webhooks/{id}/attempts/{attempt_id}","bodyType":null,"creates":false,"takesAccount":true},
  getWebhookStats: {"method":"GET","path":"/webhooks/{id}/stats","bodyType":null,"creates":false,"takesAccount":true},
  listEvents: {"method":"GET","path":"/events","bodyType":null,"creates":false,"takesAccount":true},
  searchEvents: {"method":"GET","path":"/events/search","bodyType":null,"creates":false,"takesAccount":true},
  getEvent: {"method":"GET","path":"/events/{id}","bodyType":null,"creates":false,"takesAccount":true},
  getFeed: {"method":"GET","path":"/feed","bodyType":null,"creates":false,"takesAccount":false},
  createBulkOperation: {"method":"POST","path":"/bulk/operations","bodyType":"application/json","creates":true,"takesAccount":true},
  listBulkOperations: {"method":"GET","path":"/bulk/operations","bodyType":null,"creates":false,"takesAccount":true},
  getBulkOperation: {"method":"GET","path":"/bulk/operations/{id}","bodyType":null,"creates":false,"takesAccount":true},
  listBulkResults: {"method":"GET","path":"/bulk/operations/{id}/results","bodyType":null,"creates":false,"takesAccount":true},
  cancelBulkOperation: {"method":"POST","path":"/bulk/operations/{id}/cancel","bodyType":null,"creates":false,"takesAccount":true},
  pauseBulkOperation: {"method":"POST","path":"/bulk/operations/{id}/pause","bodyType":null,"creates":false,"takesAccount":true},
  resumeBulkOperation: {"method":"POST","path":"/bulk/operations/{id}/resume","bodyType":null,"creates":false,"takesAccount":true},
  createBulkFile: {"method":"POST","path":"/bulk/files","bodyType":"text/plain","creates":true,"takesAccount":true},
  getAccount: {"method":"GET","path":"/account","bodyType":null,"creates":false,"takesAccount":true},
  listAccountKeys: {"method":"GET","path":"/keys","bodyType":null,"creates":false,"takesAccount":true},
  createAccountKey: {"method":"POST","path":"/keys","bodyType":"application/json","creates":true,"takesAccount":true},
  revokeAccountKey: {"method":"DELETE","path":"/keys/{id}","bodyType":null,"creates":false,"takesAccount":true},
  listResources: {"method":"GET","path":"/resources","bodyType":null,"creates":false,"takesAccount":true},
  getResource: {"method":"GET","path":"/resources/{name}","bodyType":null,"creates":false,"takesAccount":true},
  listEventTypes: {"method":"GET","path":"/event-types","bodyType":null,"creates":false,"takesAccount":true},
  createAccount: {"method":"POST","path":"/admin/accounts","bodyType":"application/json","creates":true,"takesAccount":false},
  listAccounts: {"method":"GET","path":"/admin/accounts","bodyType":null,"creates":false,"takesAccount":false},
  getAccountAsOperator: {"method":"GET","path":"/admin/accounts/{id}","bodyType":null,"creates":false,"takesAccount":false},
  updateAccount: {"method":"PATCH","path":"/admin/accounts/{id}","bodyType":"application/json","creates":false,"takesAccount":false},
  createKey: {"method":"POST","path":"/admin/accounts/{id}/keys","bodyType":"application/json","creates":true,"takesAccount":false},
  listKeys: {"method":"GET","path":"/admin/accounts/{id}/keys","bodyType":null,"creates":false,"takesAccount":false},
  revokeKey: {"method":"DELETE","path":"/admin/accounts/{id}/keys/{key_id}","bodyType":null,"creates":false,"takesAccount":false},
  createPortalLink: {"method":"POST","path":"/admin/accounts/{id}/portal-links","bodyType":"application/json","creates":true,"takesAccount":false},
  listPortalSessions: {"method":"GET","path":"/admin/accounts/{id}/portal-sessions","bodyType":null,"creates":false,"takesAccount":false},
  revokePortalSessions: {"method":"DELETE","path":"/admin/accounts/{id}/portal-sessions","bodyType":null,"creates":false,"takesAccount":false},
  revokePortalSession: {"method":"DELETE","path":"/admin/accounts/{id}/portal-sessions/{session_id}","bodyType":null,"creates":false,"takesAccount":false},
  listOperatorSessions: {"method":"GET","path":"/admin/operator-sessions","bodyType":null,"creates":false,"takesAccount":false},
  revokeOperatorSessions: {"method":"DELETE","path":"/admin/operator-sessions","bodyType":null,"creates":false,"takesAccount":false},
  revokeOperatorSession: {"method":"DELETE","path":"/admin/operator-sessions/{session_id}","bodyType":null,"creates":false,"takesAccount":false},
  listAuditEntries: {"method":"GET","path":"/admin/audit","bodyType":null,"creates":false,"takesAccount":false},
  listAccountAuditEntries: {"method":"GET","path":"/audit","bodyType":null,"creates":false,"takesAccount":true},
  getSource: {"method":"GET","path":"/admin/source","bodyType":null,"creates":false,"takesAccount":false},
  getStatus: {"method":"GET","path":"/admin/status","bodyType":null,"creates":false,"takesAccount":false},
  listDeadLetterEndpoints: {"method":"GET","path":"/admin/dead-letters","bodyType":null,"creates":false,"takesAccount":false},
  listFailingEndpoints: {"method":"GET","path":"/admin/failing-endpoints","bodyType":null,"creates":false,"takesAccount":false},
  getMetrics: {"method":"GET","path":"/metrics","bodyType":null,"creates":false,"takesAccount":false},
  getHealth: {"method":"GET","path":"/healthz","bodyType":null,"creates":false,"takesAccount":false},
  getReadiness: {"method":"GET","path":"/readyz","bodyType":null,"creates":false,"takesAccount":false},
  getOpenApi: {"method":"GET","path":"/openapi.json","bodyType":null,"creates":false,"takesAccount":false},
  getOperatorOpenApi: {"method":"GET","path":"/admin/openapi.json","bodyType":null,"creates":false,"takesAccount":false},
};
export interface OperationFacts {
  readonly method: string;
  readonly path: string;
  readonly bodyType: string | null;
  /** It takes an Idempotency-Key. */
  readonly creates: boolean;
  /** The operator names the account in the query. */
  readonly takesAccount: boolean;
}
