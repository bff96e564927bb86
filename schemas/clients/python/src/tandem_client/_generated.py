# Written by `npm run clients` from the OpenAPI document. Do not edit.
from __future__ import annotations

from typing import Any, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict

CreateExportRequestDateRange = TypedDict(
    "CreateExportRequestDateRange",
    {
        "from": "str",
        "to": "NotRequired[str]",
        "field": "NotRequired[str]",
    },
)


class CreateExportRequest(TypedDict):
    resource: NotRequired[str]
    resources: NotRequired[list[str]]
    #: digest: row counts and digests instead of rows, to compare a replica with. as_of is then the time of the request unless it is given.
    format: NotRequired[Literal["jsonl", "csv", "parquet", "digest"]]
    #: Compression of each file, also inside an archive. Must be none for parquet, which compresses internally.
    compression: NotRequired[Literal["none", "gzip", "zstd"]]
    #: Packs all files and their manifest into one archive.
    archive: NotRequired[Literal["zip"] | None]
    #: For csv: puts an apostrophe before each cell that starts with = + - @, tab or CR. Numbers are left unchanged.
    csv_safe: NotRequired[bool]
    #: For digest: buckets whose records are listed with their digests. Default: the sums of all buckets.
    buckets: NotRequired[list[int]]
    date_range: NotRequired[CreateExportRequestDateRange]
    include_deleted: NotRequired[bool]
    include_related: NotRequired[bool]
    #: Columns of the file besides the key columns. For an export of one resource.
    fields: NotRequired[list[str]]
    #: ID of an earlier export. The files hold the records changed or deleted since its snapshot.
    changes_since: NotRequired[str]
    #: A past time that the feed still covers. The files hold the records as they were at that time, with the same bytes on every export.
    as_of: NotRequired[str]
    #: single: reads all rows under one snapshot, which the source holds until then. chunked: reads them in short transactions, and the feed brings them to the state of one snapshot at the end. Default: chunked for a large export, where the operator has set a size. An export that cannot be chunked is single, and its snapshot says why.
    snapshot: NotRequired[Literal["single", "chunked"] | None]
    #: Limits the read rate on the source database. A slower export holds its snapshot longer.
    max_rows_per_second: NotRequired[int | None]
    #: Estimates rows and duration. Creates no export.
    dry_run: NotRequired[bool]
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]


class CreateWebhookRequestStart2(TypedDict):
    after_export: str


class CreateWebhookRequestStart3(TypedDict):
    since: str


class CreateWebhookRequestBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class CreateWebhookRequest(TypedDict):
    url: str
    events: NotRequired[list[str]]
    start: NotRequired[Literal["now"] | CreateWebhookRequestStart2 | CreateWebhookRequestStart3]
    description: NotRequired[str | None]
    headers: NotRequired[dict[str, str]]
    max_in_flight: NotRequired[int]
    #: Requests per second. Null: unlimited.
    rate_limit: NotRequired[int | None]
    #: Limits of a batch request. Null: one event per request.
    batch: NotRequired[CreateWebhookRequestBatch | None]
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: NotRequired[Literal["record", "strict"]]
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]


class UpdateWebhookRequestBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class UpdateWebhookRequest(TypedDict):
    url: NotRequired[str]
    events: NotRequired[list[str]]
    description: NotRequired[str | None]
    headers: NotRequired[dict[str, str]]
    max_in_flight: NotRequired[int]
    #: Requests per second. Null: unlimited.
    rate_limit: NotRequired[int | None]
    #: Limits of a batch request. Null: one event per request.
    batch: NotRequired[UpdateWebhookRequestBatch | None]
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: NotRequired[Literal["record", "strict"]]
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]


class RedeliverEventRequest(TypedDict):
    webhook_id: str
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]

ReplayWebhookRequest = TypedDict(
    "ReplayWebhookRequest",
    {
        "since": "NotRequired[str]",
        "after_export": "NotRequired[str]",
        "only": "NotRequired[Literal[\"failed\"]]",
        "from": "NotRequired[str]",
        "to": "NotRequired[str]",
        "account_id": "NotRequired[str]",
    },
)

CreateBulkOperationRequest = TypedDict(
    "CreateBulkOperationRequest",
    {
        "resource": "str",
        "operation": "str",
        "ids": "NotRequired[list[str | int | list[str | int]]]",
        "filter": "NotRequired[dict[str, Any]]",
        "file_id": "NotRequired[str]",
        "params": "NotRequired[dict[str, Any]]",
        "async": "NotRequired[bool]",
        "semantics": "NotRequired[Literal[\"snapshot\", \"live\"]]",
        "all": "NotRequired[bool]",
        "dry_run": "NotRequired[bool]",
        "max_failures": "NotRequired[int]",
        "account_id": "NotRequired[str]",
    },
)


class CreateAccountKeyRequest(TypedDict):
    #: For people.
    name: NotRequired[str]
    #: What the key may do.
    scopes: list[Literal["exports:read", "exports:write", "webhooks:read", "webhooks:write", "events:read", "bulk:read", "bulk:write", "keys:read", "keys:write"]]
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]


class CreateAccountRequestLimitsBulkQuotaPeriod(TypedDict):
    """Periods of a fixed length."""

    seconds: int
    #: Start of one period. The other periods follow and precede it without a gap.
    starting_at: NotRequired[str]


class CreateAccountRequestLimitsBulkQuota(TypedDict):
    """Items of bulk jobs that may be processed per period. An omitted member keeps its value."""

    #: Null: unlimited.
    items: NotRequired[int | None]
    #: Period after which the quota is full again: a calendar month, week (Monday to Sunday) or day in UTC, or a fixed length.
    period: NotRequired[Literal["month", "week", "day"] | CreateAccountRequestLimitsBulkQuotaPeriod]


class CreateAccountRequestLimits(TypedDict):
    max_running_exports: NotRequired[int]
    max_running_bulk_operations: NotRequired[int]
    #: Items of bulk jobs that may be processed per period. An omitted member keeps its value.
    bulk_quota: NotRequired[CreateAccountRequestLimitsBulkQuota]
    #: Short form of bulk_quota with this number of items and the period "month".
    bulk_items_per_month: NotRequired[int | None]


class CreateAccountRequest(TypedDict):
    name: str
    #: Value of the account columns, in any spelling that PostgreSQL accepts. The response has the canonical text: `a0ee…` for `A0EE…` of a uuid, `77` for `77.0` of a numeric.
    source_id: str
    limits: NotRequired[CreateAccountRequestLimits]


class UpdateAccountRequestLimitsBulkQuotaPeriod(TypedDict):
    """Periods of a fixed length."""

    seconds: int
    #: Start of one period. The other periods follow and precede it without a gap.
    starting_at: NotRequired[str]


class UpdateAccountRequestLimitsBulkQuota(TypedDict):
    """Items of bulk jobs that may be processed per period. An omitted member keeps its value."""

    #: Null: unlimited.
    items: NotRequired[int | None]
    #: Period after which the quota is full again: a calendar month, week (Monday to Sunday) or day in UTC, or a fixed length.
    period: NotRequired[Literal["month", "week", "day"] | UpdateAccountRequestLimitsBulkQuotaPeriod]


class UpdateAccountRequestLimits(TypedDict):
    max_running_exports: NotRequired[int]
    max_running_bulk_operations: NotRequired[int]
    #: Items of bulk jobs that may be processed per period. An omitted member keeps its value.
    bulk_quota: NotRequired[UpdateAccountRequestLimitsBulkQuota]
    #: Short form of bulk_quota with this number of items and the period "month".
    bulk_items_per_month: NotRequired[int | None]


class UpdateAccountRequest(TypedDict):
    name: NotRequired[str]
    limits: NotRequired[UpdateAccountRequestLimits]


class CreateKeyRequest(TypedDict):
    name: NotRequired[str]
    scopes: NotRequired[list[Literal["exports:read", "exports:write", "webhooks:read", "webhooks:write", "events:read", "bulk:read", "bulk:write", "keys:read", "keys:write"]]]


class CreatePortalLinkRequest(TypedDict):
    #: What the session may do. Without it: all scopes that end in `:read`. With `keys:write` it makes API keys with its scopes, which stay when the session ends.
    scopes: NotRequired[list[Literal["exports:read", "exports:write", "webhooks:read", "webhooks:write", "events:read", "bulk:read", "bulk:write", "keys:read", "keys:write"]]]
    #: Seconds in which the link can be opened.
    expires_in: NotRequired[int]
    #: The page that the link leads to.
    next: NotRequired[str]
    #: Without it: as the browser prefers.
    theme: NotRequired[Literal["light", "dark"]]
    #: Of texts, numbers and times. Without it: as the browser prefers.
    locale: NotRequired[Literal["en-US", "en-GB", "de-DE", "de-AT", "de-CH"]]
    #: Leaves out the header and the menu, for a frame within your own.
    hide_navigation: NotRequired[bool]


class ExportEstimateRefusal(TypedDict):
    code: Literal["feed_behind", "too_many"]
    detail: str


class ExportEstimate(TypedDict):
    dry_run: Literal[True]
    resources: list[str]
    estimated_rows: int | None
    estimated_bytes: int | None
    estimated_duration_seconds: int | None
    #: Why the export would be refused at this moment. Null: it would start, or wait in the queue.
    refusal: ExportEstimateRefusal | None

ExportDateRange = TypedDict(
    "ExportDateRange",
    {
        "from": "str",
        "to": "str",
        "field": "str | None",
    },
)


class ExportRows(TypedDict):
    estimated: int | None
    extracted: int
    written: int


class ExportSnapshot(TypedDict):
    #: chunked: the rows were read in short transactions before the snapshot, and changed records come from the feed.
    kind: Literal["single", "chunked"]
    #: Why it is single although a chunked one was asked for. Null: it was not.
    reason: str | None
    taken_at: str
    lsn: str
    xmin: str
    xmax: str
    xip: list[str]


class ExportCut(TypedDict):
    position: str


class ExportError(TypedDict):
    code: str
    message: str


class Export(TypedDict):
    id: str
    #: Null: all accounts at once.
    account_id: str | None
    status: Literal["pending", "running", "paused", "cancelling", "completed", "failed", "cancelled", "expired"]
    phase: Literal["queued", "waiting_for_feed", "extracting", "assembling", "done"]
    resources: list[str]
    format: str
    compression: str
    archive: str | None
    csv_safe: bool
    buckets: list[int] | None
    include_deleted: bool
    include_related: bool
    date_range: ExportDateRange | None
    fields: list[str] | None
    changes_since: str | None
    #: Time of the exported state. Null: the time of the snapshot.
    as_of: str | None
    #: Null: unlimited.
    max_rows_per_second: int | None
    rows: ExportRows
    #: Never falls, also when the export starts again with a new snapshot.
    progress: float
    #: Never grows. Null until a rate is known, and while it takes much longer than was said.
    eta_seconds: int | None
    #: Position in the queue of the account while pending: 1 starts next.
    queue_position: NotRequired[int]
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str | None
    #: Only while paused: the export fails at this time unless it is resumed.
    pause_expires_at: NotRequired[str]
    snapshot: ExportSnapshot | None
    #: Of an export with as_of, once it is known: the exported state has every event with a smaller position, and no other.
    cut: ExportCut | None
    #: Only a completed export has files.
    files: list[ExportFile]
    manifest_url: str | None
    error: NotRequired[ExportError]


class ExportFile(TypedDict):
    name: str
    #: Null: archive of all resources.
    resource: str | None
    rows: int
    bytes: int
    sha256: str
    #: Requires the key. Redirects to a new presigned URL.
    content_url: str
    #: Presigned URL. Requires no key. Valid until url_expires_at.
    url: str
    url_expires_at: str
    #: Of the format digest: the sum of the digests of all records, in hexadecimal.
    digest: NotRequired[str]
    #: Files of the archive.
    members: NotRequired[list[ArchiveMember]]


class ArchiveMember(TypedDict):
    name: str
    resource: str
    rows: int
    bytes: int
    sha256: str


class ExportList(TypedDict):
    data: list[Export]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class ExportChunkPageCounts(TypedDict):
    """Chunks of the whole export by state, whatever the page and the filter."""

    planned: int
    reading: int
    extracted: int
    written: int


class ExportChunkPageResourcesItemCounts(TypedDict):
    planned: int
    reading: int
    extracted: int
    written: int


class ExportChunkPageResourcesItemRows(TypedDict):
    planned: int
    extracted: int
    written: int


class ExportChunkPageResourcesItem(TypedDict):
    resource: str
    counts: ExportChunkPageResourcesItemCounts
    rows: ExportChunkPageResourcesItemRows


class ExportChunkPage(TypedDict):
    data: list[ExportChunk]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None
    #: Chunks of the whole export by state, whatever the page and the filter.
    counts: ExportChunkPageCounts
    #: The same for each resource whose chunks are known, in the order of names.
    resources: list[ExportChunkPageResourcesItem]
    #: Whether all chunks are known. Until then their number grows.
    is_planned: bool


class ExportChunkRows(TypedDict):
    #: Rows of the chunk in the snapshot.
    planned: int
    extracted: int
    written: int


class ExportChunk(TypedDict):
    resource: str
    #: Number within the resource, in key order.
    chunk: int
    #: planned: waits for a reader. reading: an extractor reads its rows. extracted: all rows are read. written: all rows are stored.
    state: Literal["planned", "reading", "extracted", "written"]
    rows: ExportChunkRows
    #: Times that an extractor has begun to read it.
    attempts: int
    #: Start of the latest attempt.
    started_at: str | None
    extracted_at: str | None
    written_at: str | None


class WebhookWithSecretBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class WebhookWithSecret(TypedDict):
    id: str
    account_id: str
    url: str
    events: list[str]
    description: str | None
    #: Values are [hidden] when the key lacks the scope webhooks:write.
    headers: dict[str, str]
    max_in_flight: int
    #: Requests per second.
    rate_limit: int | None
    #: Limits of a batch request. Null: one event per request.
    batch: WebhookWithSecretBatch | None
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: Literal["record", "strict"]
    #: With order strict: ID of the failed event that is retried. All later events wait for it.
    held_by: str | None
    status: Literal["active", "paused", "disabled"]
    status_reason: str | None
    start: Any
    #: All events up to this position are delivered or given up.
    position: str
    failures_in_row: int
    failing_since: str | None
    resting_until: str | None
    #: Number of secrets that sign. More than one after a rotation.
    secret_count: int
    #: Until this time secrets from before the last rotation sign too. Null: there is none.
    old_secret_valid_until: str | None
    created_at: str
    updated_at: str
    #: The secret (whsec_…). Shown only in this response.
    secret: NotRequired[str]
    #: Why the secret is not shown: another API key has repeated the request.
    secret_withheld: NotRequired[str]


class WebhookList(TypedDict):
    data: list[Webhook]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class WebhookBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class Webhook(TypedDict):
    id: str
    account_id: str
    url: str
    events: list[str]
    description: str | None
    #: Values are [hidden] when the key lacks the scope webhooks:write.
    headers: dict[str, str]
    max_in_flight: int
    #: Requests per second.
    rate_limit: int | None
    #: Limits of a batch request. Null: one event per request.
    batch: WebhookBatch | None
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: Literal["record", "strict"]
    #: With order strict: ID of the failed event that is retried. All later events wait for it.
    held_by: str | None
    status: Literal["active", "paused", "disabled"]
    status_reason: str | None
    start: Any
    #: All events up to this position are delivered or given up.
    position: str
    failures_in_row: int
    failing_since: str | None
    resting_until: str | None
    #: Number of secrets that sign. More than one after a rotation.
    secret_count: int
    #: Until this time secrets from before the last rotation sign too. Null: there is none.
    old_secret_valid_until: str | None
    created_at: str
    updated_at: str


class WebhookTest(TypedDict):
    event_id: str
    webhook_id: str
    started_at: NotRequired[str]
    duration_ms: NotRequired[int]
    #: HTTP status of the response. Null without a response.
    status: NotRequired[int | None]
    #: delivered, failed, an error class, or under_way.
    outcome: str
    excerpt: NotRequired[str | None]


class DeadLetterList(TypedDict):
    data: list[DeadLetter]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class DeadLetter(TypedDict):
    event_id: str
    #: Null once the event is no longer retained.
    type: str | None
    position: str
    #: The record of the event: <resource>/<key>.
    record: str
    attempts: int
    last_attempt_at: str | None
    #: HTTP status of the last response. Null without a response.
    status: int | None
    #: failed, or an error class.
    outcome: str
    excerpt: str | None


class Redelivery(TypedDict):
    event_id: str
    webhook_id: str
    state: Literal["queued", "upcoming", "in_export"]


class EventDeliveryList(TypedDict):
    data: list[EventDelivery]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class EventDelivery(TypedDict):
    webhook_id: str
    url: str
    #: delivered: a response accepted it. retrying: an attempt failed, and the next is scheduled. waiting: earlier events of its record come first. dead: it was given up. upcoming: the endpoint has not reached it. in_export: the endpoint starts after an export that holds it. not_subscribed: the endpoint does not subscribe to its type. passed: the position is past it and no attempt is retained.
    state: Literal["delivered", "retrying", "waiting", "dead", "upcoming", "in_export", "not_subscribed", "passed"]
    #: Attempts that failed since the event was first scheduled.
    failed_attempts: int
    next_attempt_at: str | None
    #: The latest attempt that is retained.
    last_attempt: Attempt | None


class AttemptBatch(TypedDict):
    id: str
    event_count: int
    last_event_id: str


class Attempt(TypedDict):
    id: str
    #: ID of the event, or of the first event of the batch.
    event_id: str
    #: Null: the request held one event.
    batch: AttemptBatch | None
    attempt: int
    started_at: str
    duration_ms: int
    #: HTTP status of the response. Null without a response.
    status: int | None
    #: delivered, failed (a response without success), or the class of an error: invalid_url, address_refused, dns, refused, unreachable, reset, tls, timeout, protocol, oversized, aborted.
    outcome: str
    #: The first 1,024 bytes of the response body, or the text of the error.
    excerpt: str | None

FailedReplay = TypedDict(
    "FailedReplay",
    {
        "from": "str",
        "to": "str",
        "requested_at": "str",
    },
)


class AttemptList(TypedDict):
    data: list[Attempt]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class AttemptDetailsBatch(TypedDict):
    id: str
    event_count: int
    last_event_id: str


class AttemptDetailsRequest(TypedDict):
    method: Literal["POST"]
    #: Headers that you configured have their values hidden. The signing secret is in none.
    headers: dict[str, str]
    #: The text that was signed and sent, rebuilt from the events. Null once one of them is no longer retained, or when the key lacks the scope events:read.
    body: str | None
    #: Length of the whole body. Null without `body`.
    body_bytes: int | None
    #: Only the beginning of the body is shown.
    is_body_cut: bool


class AttemptDetailsResponse(TypedDict):
    status: int
    #: In lower case. Values of more than 200 characters are shortened, those of secret headers hidden.
    headers: dict[str, str]
    #: Headers that are not shown, because there were too many.
    headers_omitted: int
    #: The first 1,024 bytes.
    body: str
    #: The body was longer.
    is_body_cut: bool


class AttemptDetails(TypedDict):
    id: str
    #: ID of the event, or of the first event of the batch.
    event_id: str
    #: Null: the request held one event.
    batch: AttemptDetailsBatch | None
    attempt: int
    started_at: str
    duration_ms: int
    #: HTTP status of the response. Null without a response.
    status: int | None
    #: delivered, failed (a response without success), or the class of an error: invalid_url, address_refused, dns, refused, unreachable, reset, tls, timeout, protocol, oversized, aborted.
    outcome: str
    #: The first 1,024 bytes of the response body, or the text of the error.
    excerpt: str | None
    #: The events of the request, in its order.
    event_ids: list[str]
    #: Null when no request was sent, or the attempt is older than this record.
    request: AttemptDetailsRequest | None
    #: Null without a response, or when the attempt is older than this record.
    response: AttemptDetailsResponse | None


class WebhookStatsAttempts(TypedDict):
    """Requests, without tests."""

    delivered: int
    failed: int


class WebhookStatsEvents(TypedDict):
    """Events of those requests. An event counts as failed once for each attempt that failed."""

    delivered: int
    failed: int


class WebhookStatsDurationMs(TypedDict):
    p50: int
    p95: int


class WebhookStatsBehindBy(TypedDict):
    """What the endpoint has yet to get, now."""

    #: Events that are recorded for the endpoint and not delivered yet.
    events: int
    #: False: at least that many. At most 10,000 events after the position are examined.
    is_exact: bool
    #: Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow.
    seconds: int | None


class WebhookStatsBucketsItemAttempts(TypedDict):
    """Requests, without tests."""

    delivered: int
    failed: int


class WebhookStatsBucketsItemEvents(TypedDict):
    """Events of those requests. An event counts as failed once for each attempt that failed."""

    delivered: int
    failed: int


class WebhookStatsBucketsItemDurationMs(TypedDict):
    p50: int
    p95: int


class WebhookStatsBucketsItem(TypedDict):
    #: The start of the bucket.
    at: str
    #: Requests, without tests.
    attempts: WebhookStatsBucketsItemAttempts
    #: Events of those requests. An event counts as failed once for each attempt that failed.
    events: WebhookStatsBucketsItemEvents
    #: Time of an attempt, at most a fifth off. Null without attempts.
    duration_ms: WebhookStatsBucketsItemDurationMs | None

WebhookStats = TypedDict(
    "WebhookStats",
    {
        "webhook_id": "str",
        "from": "str",
        "to": "str",
        "attempts": "WebhookStatsAttempts",
        "events": "WebhookStatsEvents",
        "duration_ms": "WebhookStatsDurationMs | None",
        "behind_by": "WebhookStatsBehindBy",
        "retrying": "int",
        "dead_letters": "int",
        "failed_replay": "FailedReplay | None",
        "bucket_seconds": "Literal[300]",
        "buckets": "list[WebhookStatsBucketsItem]",
    },
)


class EventList(TypedDict):
    data: list[Any]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class FeedStatusStalled(TypedDict):
    #: The data.reason of feed.stalled or feed.reset.
    reason: str
    since: str


class FeedStatusSetAsideItem(TypedDict):
    resource: str
    #: The data.reason of feed.stalled or feed.reset.
    reason: str
    since: str


class FeedStatus(TypedDict):
    #: Set while the feed delivers no changes of any resource, else null.
    stalled: FeedStatusStalled | None
    #: Resources whose changes are not delivered. A feed.reset announces the end.
    set_aside: list[FeedStatusSetAsideItem]

BulkResponse: TypeAlias = "BulkDone | BulkDryRun"


class BulkDone(TypedDict):
    resource: str
    operation: str
    status: Literal["completed"]
    processed: int
    succeeded: int
    failed: int
    skipped: int
    total: int
    #: In the order of the request.
    results: list[BulkItemResult]


class BulkItemResult(TypedDict):
    item_id: str
    status: Literal["succeeded", "failed", "skipped"]
    code: NotRequired[str]
    message: NotRequired[str]
    #: Line in the file of IDs.
    line: NotRequired[int]
    at: str


class BulkDryRunSampleItem(TypedDict):
    item_id: str
    #: The record as files and events write it, without values of more than 2,000 characters. Absent: there is none, or the key lacks the scope exports:read.
    record: NotRequired[dict[str, Any]]


class BulkDryRun(TypedDict):
    dry_run: Literal[True]
    resource: str
    operation: str
    estimated_items: int
    estimated_duration_seconds: int
    #: The first items. Empty for a file of IDs.
    sample: list[BulkDryRunSampleItem]


class BulkAccepted(TypedDict):
    job_id: str
    status: Literal["pending", "running", "paused", "cancelled", "completed", "failed"]
    estimated_items: int
    estimated_duration_seconds: int


class BulkOperationList(TypedDict):
    data: list[BulkOperation]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class BulkOperationQuota(TypedDict):
    #: Items per period of the account. Null: unlimited.
    limit: int | None
    used: int
    remaining: int | None
    resets_at: str


class BulkOperationRecentErrorsItem(TypedDict):
    item_id: str
    code: str
    message: str
    at: str


class BulkOperationErrorSummaryItem(TypedDict):
    code: str
    count: int


class BulkOperationError(TypedDict):
    code: str
    message: str


class BulkOperation(TypedDict):
    job_id: str
    account_id: str
    resource: str
    operation: str
    semantics: Literal["snapshot", "live"]
    status: Literal["pending", "running", "paused", "cancelled", "completed", "failed"]
    #: Always succeeded + failed + skipped.
    processed: int
    succeeded: int
    failed: int
    skipped: int
    #: An estimate until the items are listed.
    total: int
    created_at: str
    #: Time at which the item list was complete. The job is pending before and running after.
    started_at: str | None
    last_updated_at: str
    ended_at: str | None
    #: Null while paused and until a rate is known.
    eta_seconds: int | None
    quota: BulkOperationQuota
    recent_errors: list[BulkOperationRecentErrorsItem]
    error_summary: list[BulkOperationErrorSummaryItem]
    #: Position in the queue of the account: 1 starts next. Absent while the items are listed.
    queue_position: NotRequired[int]
    #: `handler`: the handler is unavailable. `feed`: the change feed is too far behind. `quota`: the quota is used up. These three end without a request. `requested`: ends with a resume.
    pause_reason: NotRequired[Literal["requested", "quota", "handler", "feed"]]
    #: Time at which the job resumes, if it waits for its quota or its handler.
    resumes_at: NotRequired[str]
    error: NotRequired[BulkOperationError]


class BulkItemResultList(TypedDict):
    data: list[BulkItemResult]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class BulkFileBadLinesItem(TypedDict):
    line: int
    code: Literal["too_long", "quotes", "columns", "invalid_id"]
    detail: str


class BulkFile(TypedDict):
    file_id: str
    #: Non-blank lines without the header.
    items: int
    #: Lines that are valid IDs, of `resource` where the upload gives it. Other lines become failed items.
    ids: int
    #: The first 20 lines that are not valid IDs.
    bad_lines: list[BulkFileBadLinesItem]
    #: The first line, if it is the name of a key column.
    header: NotRequired[str]
    bytes: int
    created_at: str
    expires_at: str


class AccountOverviewKey(TypedDict):
    id: str
    name: str | None
    scopes: list[str]


class AccountOverviewLimits(TypedDict):
    max_running_exports: int
    max_queued_exports: int
    #: Running and paused bulk jobs.
    max_running_bulk_operations: int
    max_queued_bulk_operations: int
    #: IDs in one request. A file of IDs may hold more.
    max_bulk_ids: int
    max_bulk_file_bytes: int
    max_webhooks: int
    max_body_bytes: int
    #: Of the account.
    requests_per_second: int
    #: Of each key, without downloads. Null: unlimited.
    requests_per_minute: int | None
    max_open_requests: int
    #: Files that are sent at once.
    max_downloads: int
    #: How long events can be read and replayed.
    event_retention_days: int


class AccountOverviewBulkQuotaPeriod(TypedDict):
    seconds: int
    starting_at: str


class AccountOverviewBulkQuota(TypedDict):
    #: Items per period. Null: unlimited.
    limit: int | None
    used: int
    remaining: int | None
    resets_at: str
    #: A calendar period in UTC, or periods of a fixed length counted from a start.
    period: Literal["month", "week", "day"] | AccountOverviewBulkQuotaPeriod


class AccountOverviewExportsJobsItem(TypedDict):
    id: str
    status: str
    #: Position in the queue of the account: 1 starts next. Absent for a job that has its turn.
    queue_position: NotRequired[int]
    created_at: str
    resources: list[str]
    #: digest: a check of a replica.
    format: str


class AccountOverviewExports(TypedDict):
    running: int
    queued: int
    paused: int
    #: Running jobs, then the queue in its order, 100 at most.
    jobs: list[AccountOverviewExportsJobsItem]


class AccountOverviewBulkOperationsJobsItem(TypedDict):
    id: str
    status: str
    #: Position in the queue of the account: 1 starts next. Absent for a job that has its turn.
    queue_position: NotRequired[int]
    created_at: str
    resource: str
    operation: str
    processed: int
    #: An estimate until the items are listed.
    total: int


class AccountOverviewBulkOperations(TypedDict):
    running: int
    queued: int
    paused: int
    #: Running jobs, then the queue in its order, 100 at most.
    jobs: list[AccountOverviewBulkOperationsJobsItem]


class AccountOverviewWebhooks(TypedDict):
    active: int
    paused: int
    disabled: int


class AccountOverviewFeedStalled(TypedDict):
    #: The data.reason of feed.stalled or feed.reset.
    reason: str
    since: str


class AccountOverviewFeedSetAsideItem(TypedDict):
    resource: str
    #: The data.reason of feed.stalled or feed.reset.
    reason: str
    since: str


class AccountOverviewFeed(TypedDict):
    #: Set while the feed delivers no changes of any resource, else null.
    stalled: AccountOverviewFeedStalled | None
    #: Resources whose changes are not delivered. A feed.reset announces the end.
    set_aside: list[AccountOverviewFeedSetAsideItem]
    #: Position of the newest event of the account. Null: there is none.
    position: str | None
    #: Seconds since the feed last moved, about ten at most on an idle source. Null: it has not started.
    age_seconds: float | None


class AccountOverview(TypedDict):
    id: str
    name: str
    created_at: str
    #: The key of this request. Null: the key of the operator.
    key: AccountOverviewKey | None
    limits: AccountOverviewLimits
    #: Items of bulk jobs and synchronous operations in the present period. Null: the key lacks the scope bulk:read.
    bulk_quota: AccountOverviewBulkQuota | None
    #: Null: the key lacks the scope exports:read.
    exports: AccountOverviewExports | None
    #: Null: the key lacks the scope bulk:read.
    bulk_operations: AccountOverviewBulkOperations | None
    #: Null: the key lacks the scope webhooks:read.
    webhooks: AccountOverviewWebhooks | None
    #: Null: the key lacks the scope events:read.
    feed: AccountOverviewFeed | None


class KeyList(TypedDict):
    data: list[Key]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class Key(TypedDict):
    id: str
    account_id: str
    name: str | None
    #: How the key begins. Null: the key is older than this field.
    prefix: str | None
    scopes: list[str]
    #: ID of the key that made it. Null: the operator did, or the key is older than this field.
    made_by: str | None
    created_at: str
    #: The last request with the key, to the minute. Null: no request is known.
    last_used_at: str | None
    revoked_at: str | None


class NewKey(TypedDict):
    id: str
    account_id: str
    name: str | None
    #: How the key begins. Null: the key is older than this field.
    prefix: str | None
    scopes: list[str]
    #: ID of the key that made it. Null: the operator did, or the key is older than this field.
    made_by: str | None
    created_at: str
    #: The last request with the key, to the minute. Null: no request is known.
    last_used_at: str | None
    revoked_at: str | None
    #: Shown only in this response.
    key: NotRequired[str]
    #: Why the secret is not shown: another API key has repeated the request.
    secret_withheld: NotRequired[str]


class ResourceList(TypedDict):
    data: list[Resource]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class ResourceExportsDateRange(TypedDict):
    #: Null: a request gives `field`.
    default_field: str | None
    #: Fields that `date_range.field` may name.
    fields: list[str]


class ResourceExports(TypedDict):
    formats: list[Literal["jsonl", "csv", "parquet"]]
    #: Of jsonl and csv.
    compressions: list[Literal["none", "gzip", "zstd"]]
    #: Whether there are soft-deleted records to include.
    include_deleted: bool
    #: Resources that `include_related` adds, over any number of steps.
    include_related: list[str]
    changes_since: bool
    as_of: bool
    date_range: ResourceExportsDateRange


class ResourceUnfit(TypedDict):
    code: str
    detail: str


class Resource(TypedDict):
    name: str
    #: Fields that identify a record, in this order.
    key: list[str]
    #: The field that has the time of a soft deletion. Null: there is none, or it is not shown.
    soft_delete: str | None
    #: In the order of files and events.
    fields: list[ResourceField]
    #: Resources that records of this one refer to, or are referred by.
    related: list[str]
    exports: ResourceExports
    #: What bulk jobs can do with records.
    operations: list[ResourceOperation]
    #: Whether a bulk job may select records by `ids` or a file. Else: by `filter`.
    selectable_by_ids: bool
    #: Items of a request without `async`.
    max_sync_items: int
    event_types: list[str]
    #: Why exports and bulk jobs of the resource are refused: its table does not fit the catalog, and the operator must act. Null: they are not.
    unfit: ResourceUnfit | None
    #: A record made from the types of the fields, not from anybody’s data.
    example: dict[str, Any]


class ResourceField(TypedDict):
    name: str
    #: The type in PostgreSQL, such as `numeric(10,2)`. For people.
    type: str
    #: The type in JSON. An integer may have more digits than a double. A number may also be `"NaN"`, `"Infinity"` or `"-Infinity"`.
    json_type: Literal["integer", "number", "string", "boolean", "array", "object", "any"]
    #: The form of a string. `date-time` has a zone, `local-date-time` has none, and both may be `infinity` or `-infinity`.
    format: Literal["date-time", "local-date-time", "date", "time", "decimal", "uuid", "base64"] | None
    nullable: bool
    #: All values of an enum, or of the elements of an array, in their order. Null: any.
    values: list[str] | None
    #: Characters of a string. Null: unlimited.
    max_length: int | None
    is_key: bool
    #: Conditions that a filter of a bulk job may have on the field.
    filters: list[Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "prefix", "is_null"]]


class ResourceOperationParamsItem(TypedDict):
    name: str
    #: The type in PostgreSQL, such as `numeric(10,2)`. For people.
    type: str
    #: The type in JSON. An integer may have more digits than a double. A number may also be `"NaN"`, `"Infinity"` or `"-Infinity"`.
    json_type: Literal["integer", "number", "string", "boolean", "array", "object", "any"]
    #: The form of a string. `date-time` has a zone, `local-date-time` has none, and both may be `infinity` or `-infinity`.
    format: Literal["date-time", "local-date-time", "date", "time", "decimal", "uuid", "base64"] | None
    nullable: bool
    #: All values of an enum, or of the elements of an array, in their order. Null: any.
    values: list[str] | None
    #: Characters of a string. Null: unlimited.
    max_length: int | None


class ResourceOperationSetsItem(TypedDict):
    name: str
    value: str | float | bool | None


class ResourceOperation(TypedDict):
    name: str
    #: update: sets fields. delete: deletes the record, softly if the resource has soft_delete. handler: calls a service.
    kind: Literal["update", "delete", "handler"]
    #: Parameters. A request gives at least one of them, if there are any.
    params: list[ResourceOperationParamsItem]
    #: What an update sets besides its parameters. Hidden fields are left out.
    sets: list[ResourceOperationSetsItem]
    #: The handler checks the parameters, which are not listed.
    takes_any_params: bool


class EventTypeList(TypedDict):
    data: list[EventType]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class EventType(TypedDict):
    type: str
    #: Subscribes to all types of this group.
    pattern: str
    #: The resource of record events, else null.
    resource: str | None
    #: Whether `GET /events` lists such events. Others reach only webhook endpoints.
    is_in_feed: bool
    #: Markdown.
    description: str
    #: A body. Null: the fields are not known, because the source database does not respond or has no such table.
    example: dict[str, Any] | None


class AccountLimitsBulkQuotaPeriod(TypedDict):
    seconds: int
    starting_at: str


class AccountLimitsBulkQuota(TypedDict):
    #: Items that may be processed per period. Null: unlimited.
    items: int | None
    #: A calendar period in UTC, or periods of a fixed length counted from a start.
    period: Literal["month", "week", "day"] | AccountLimitsBulkQuotaPeriod


class AccountLimits(TypedDict):
    max_running_exports: int
    max_running_bulk_operations: int
    bulk_quota: AccountLimitsBulkQuota


class Account(TypedDict):
    id: str
    name: str
    #: Value of the account column in its PostgreSQL text form.
    source_id: str
    limits: AccountLimits
    created_at: str


class AccountList(TypedDict):
    data: list[Account]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class PortalLink(TypedDict):
    id: str
    #: Opens the dashboard once. The code is in the fragment, which browsers send to no server.
    url: str
    expires_at: str


class PortalSessionList(TypedDict):
    data: list[PortalSession]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class PortalSession(TypedDict):
    id: str
    scopes: list[str]
    #: The key that opened it. Null: a portal link.
    key_id: str | None
    created_at: str
    last_seen_at: str
    #: When it ends at the latest.
    expires_at: str


class OperatorSessionList(TypedDict):
    data: list[OperatorSession]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class OperatorSession(TypedDict):
    id: str
    created_at: str
    last_seen_at: str
    #: When it ends at the latest.
    expires_at: str


class AuditEntryList(TypedDict):
    data: list[AuditEntry]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class AuditEntry(TypedDict):
    id: str
    at: str
    #: Null: all accounts at once.
    account_id: str | None
    #: operator, the ID of a key or of a session of the dashboard, or link: a request with a presigned URL.
    actor: str
    action: str
    subject_id: str
    #: Fields and their values. Of keys they are empty when the key lacks the scope keys:read.
    details: dict[str, Any]


class SourceStalled(TypedDict):
    reason: str
    detail: str
    since: str


class SourceSetAsideItem(TypedDict):
    resource: str
    reason: str
    detail: str
    since: str


class SourceOpenTransactionsItem(TypedDict):
    #: Null for a prepared transaction.
    pid: float | None
    age_seconds: float
    application: str
    state: str


class Source(TypedDict):
    slot: str
    #: refuse: new exports and bulk jobs get status 503. unknown: the source does not respond.
    state: Literal["ok", "warn", "refuse", "unknown"]
    reasons: list[str]
    exists: bool | None
    active: bool | None
    wal_status: str | None
    #: WAL that the feed has not processed.
    lag_bytes: float | None
    #: WAL that the source retains on disk for the slot.
    retained_bytes: float | None
    #: WAL that can be written before the slot may lose its WAL. Null without max_slot_wal_keep_size.
    safe_wal_bytes: float | None
    #: Retained WAL from which on the state is warn (`SLOT_WARN_BYTES`). 0: off.
    warn_bytes: int
    #: Retained WAL from which on new jobs are refused (`SLOT_REFUSE_BYTES`). 0: off.
    refuse_bytes: int
    #: Time since the feed last moved. At most about 10 on an idle feed.
    feed_age_seconds: float | None
    #: Reason of a feed stall and what to check. Null while the feed moves.
    stalled: SourceStalled | None
    #: Resources whose changes are skipped, with the reason and the remedy. A resource resumes without a restart, with a feed.reset.
    set_aside: list[SourceSetAsideItem]
    #: Transactions open for a second or longer, oldest first. The first export of an account waits for them. Those of other roles need pg_monitor. Null without a response from the source.
    open_transactions: list[SourceOpenTransactionsItem] | None
    seen_at: str | None


class StatusBottlenecksItem(TypedDict):
    code: Literal["feed_gap", "service_missing", "capture_idle", "feed_stalled", "source_full", "kafka_silent", "outbox_waits", "open_transaction", "capture_behind", "recording_behind", "writing_behind", "reading_busy", "exports_at_limit", "exports_queued", "bulk_at_limit", "bulk_handler_away", "bulk_feed_behind", "bulk_quota_used", "bulk_busy", "deliveries_due", "receivers_failing"]
    detail: str
    #: What is measured: a number, seconds or bytes, by the code.
    value: float
    subject: str | None


class StatusHeldTransactionsItem(TypedDict):
    pid: int
    age_seconds: float
    application: str
    state: str
    #: It has a snapshot, so VACUUM keeps every row version that is younger.
    holds_vacuum: bool


class Status(TypedDict):
    """A part that cannot be read now is null."""

    #: When it was read. A reading is kept for some seconds.
    at: str
    #: What holds work up, the first cause first. Empty: nothing does.
    bottlenecks: list[StatusBottlenecksItem]
    processes: list[Process] | None
    source: Source | None
    #: Transactions that Tandem itself holds on the source, the oldest first.
    held_transactions: list[StatusHeldTransactionsItem] | None
    #: Transaction IDs given out since the oldest snapshot that Tandem holds on the source.
    held_xmin_age: int | None
    #: Null without a response from Kafka. Read every ten seconds at most.
    consumers: list[ConsumerGroup] | None
    queues: Queues | None


class Process(TypedDict):
    """A process of a service. Capture that works without the control store is known by its session on the source, so it has no version and host."""

    id: str
    service: str
    version: str | None
    host: str | None
    pid: int | None
    started_at: str
    seen_at: str
    #: silent: it has not reported for 20 seconds, and was not ended in order. It is listed for a day.
    state: Literal["ready", "starting", "silent"]


class ConsumerGroupTopicsItemPartitionsItem(TypedDict):
    partition: int
    #: Null: the group has committed no offset, and begins at the end.
    lag: int | None


class ConsumerGroupTopicsItem(TypedDict):
    topic: str
    lag: int
    partitions: list[ConsumerGroupTopicsItemPartitionsItem]


class ConsumerGroup(TypedDict):
    group: str
    service: str
    #: `Stable`, `Empty` where no process of it runs, or another state of Kafka.
    state: str
    members: int
    #: Records that the group has not read, by offsets: markers of transactions count too.
    lag: int
    topics: list[ConsumerGroupTopicsItem]
    #: Further topics of the group, which are not read here.
    topics_omitted: int


class QueuesExports(TypedDict):
    queued: int
    #: Of those, exports whose account runs as many as it may.
    queued_by_limit: int
    oldest_queued_seconds: float | None
    waiting_for_feed: int
    extracting: int
    assembling: int
    paused: int


class QueuesExportChunks(TypedDict):
    waiting: int
    reading: int
    #: Read, and not in a file yet.
    unwritten: int


class QueuesBulk(TypedDict):
    queued: int
    queued_by_limit: int
    oldest_queued_seconds: float | None
    running: int
    #: Paused by request.
    paused: int
    paused_by_quota: int
    paused_by_handler: int
    paused_by_feed: int


class QueuesBulkChunks(TypedDict):
    waiting: int
    working: int


class QueuesDeliveries(TypedDict):
    retrying: int
    #: Of those, deliveries whose next attempt is due.
    due: int
    dead: int


class QueuesEndpoints(TypedDict):
    active: int
    failing: int
    paused: int
    disabled: int


class QueuesOutbox(TypedDict):
    waiting: int
    oldest_seconds: float | None


class Queues(TypedDict):
    """What waits and what runs, of all accounts."""

    exports: QueuesExports
    export_chunks: QueuesExportChunks
    bulk: QueuesBulk
    bulk_chunks: QueuesBulkChunks
    deliveries: QueuesDeliveries
    endpoints: QueuesEndpoints
    outbox: QueuesOutbox


class DeadLetterEndpointList(TypedDict):
    data: list[DeadLetterEndpoint]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class DeadLetterEndpoint(TypedDict):
    webhook_id: str
    account_id: str
    account_name: str
    url: str
    status: str
    dead_letters: int
    #: When the first of them failed for the first time.
    oldest_at: str


class FailingEndpointList(TypedDict):
    data: list[FailingEndpoint]
    #: Whether another page follows.
    has_more: bool
    #: Send it as `cursor` to get the next page. Null: there is none.
    next_cursor: str | None


class FailingEndpointLastFailure(TypedDict):
    at: str
    #: HTTP status of the response. Null without a response.
    status: int | None
    #: failed, or an error class.
    outcome: str


class FailingEndpointBehindBy(TypedDict):
    """What the endpoint has yet to get, now."""

    #: Events that are recorded for the endpoint and not delivered yet.
    events: int
    #: False: at least that many. At most 1,000 events after the position are examined.
    is_exact: bool
    #: Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow.
    seconds: int | None


class FailingEndpoint(TypedDict):
    webhook_id: str
    account_id: str
    account_name: str
    url: str
    status: Literal["active", "disabled"]
    status_reason: str | None
    #: When its failures began. For an endpoint that was disabled without one: when it was last changed.
    since: str
    #: Null: no attempt that failed is retained.
    last_failure: FailingEndpointLastFailure | None
    #: What the endpoint has yet to get, now.
    behind_by: FailingEndpointBehindBy


class Health(TypedDict):
    status: str


class Readiness(TypedDict):
    status: str
    checks: dict[str, bool]
    #: Conditions that need an operator. Requests are still served.
    warnings: list[str]


class ProblemErrorsItem(TypedDict):
    #: JSON pointer into the body (RFC 6901), or the name of a parameter.
    pointer: str
    detail: str


class Problem(TypedDict):
    """A problem document (RFC 9457). Some codes have further members."""

    #: Names the code.
    type: str
    title: str
    #: The HTTP status.
    status: int
    #: What went wrong, for people.
    detail: str
    #: What went wrong, for programs.
    code: str
    #: Each fault of the request.
    errors: NotRequired[list[ProblemErrorsItem]]
    #: The same as X-Request-Id. Name it to support.
    request_id: str

ExportRequestDateRange = TypedDict(
    "ExportRequestDateRange",
    {
        "from": "str",
        "to": "NotRequired[str]",
        "field": "NotRequired[str]",
    },
)


class ExportRequest(TypedDict):
    resource: NotRequired[str]
    resources: NotRequired[list[str]]
    #: digest: row counts and digests instead of rows, to compare a replica with. as_of is then the time of the request unless it is given.
    format: NotRequired[Literal["jsonl", "csv", "parquet", "digest"]]
    #: Compression of each file, also inside an archive. Must be none for parquet, which compresses internally.
    compression: NotRequired[Literal["none", "gzip", "zstd"]]
    #: Packs all files and their manifest into one archive.
    archive: NotRequired[Literal["zip"] | None]
    #: For csv: puts an apostrophe before each cell that starts with = + - @, tab or CR. Numbers are left unchanged.
    csv_safe: NotRequired[bool]
    #: For digest: buckets whose records are listed with their digests. Default: the sums of all buckets.
    buckets: NotRequired[list[int]]
    date_range: NotRequired[ExportRequestDateRange]
    include_deleted: NotRequired[bool]
    include_related: NotRequired[bool]
    #: Columns of the file besides the key columns. For an export of one resource.
    fields: NotRequired[list[str]]
    #: ID of an earlier export. The files hold the records changed or deleted since its snapshot.
    changes_since: NotRequired[str]
    #: A past time that the feed still covers. The files hold the records as they were at that time, with the same bytes on every export.
    as_of: NotRequired[str]
    #: single: reads all rows under one snapshot, which the source holds until then. chunked: reads them in short transactions, and the feed brings them to the state of one snapshot at the end. Default: chunked for a large export, where the operator has set a size. An export that cannot be chunked is single, and its snapshot says why.
    snapshot: NotRequired[Literal["single", "chunked"] | None]
    #: Limits the read rate on the source database. A slower export holds its snapshot longer.
    max_rows_per_second: NotRequired[int | None]


class BulkRequest(TypedDict):
    resource: str
    operation: str
    ids: NotRequired[list[str | int | list[str | int]]]
    #: {field: {eq, ne, in, gt, gte, lt, lte, is_null, prefix}}, combined by "and" and "or" with lists of filters. Limits: 100 conditions, 5 levels, 10000 values in all lists of "in". Values have the same text form as in export files.
    filter: NotRequired[dict[str, Any]]
    file_id: NotRequired[str]
    #: Parameters of the operation. Numbers keep all their digits. At most 200 members and 65536 bytes of JSON.
    params: NotRequired[dict[str, Any]]
    semantics: NotRequired[Literal["snapshot", "live"]]
    #: Confirms a filter that matches every record.
    all: NotRequired[bool]
    #: Fails the job once this many items have failed. Chunks already claimed still finish, so up to max(max_failures, 20) more items per worker may run.
    max_failures: NotRequired[int]


class WebhookRequestStart2(TypedDict):
    after_export: str


class WebhookRequestStart3(TypedDict):
    since: str


class WebhookRequestBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class WebhookRequest(TypedDict):
    url: str
    events: NotRequired[list[str]]
    start: NotRequired[Literal["now"] | WebhookRequestStart2 | WebhookRequestStart3]
    description: NotRequired[str | None]
    headers: NotRequired[dict[str, str]]
    max_in_flight: NotRequired[int]
    #: Requests per second. Null: unlimited.
    rate_limit: NotRequired[int | None]
    #: Limits of a batch request. Null: one event per request.
    batch: NotRequired[WebhookRequestBatch | None]
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: NotRequired[Literal["record", "strict"]]


class WebhookChangeBatch(TypedDict):
    max_events: int
    #: Maximum time that an event waits for further events of its batch.
    max_wait_ms: int


class WebhookChange(TypedDict):
    url: NotRequired[str]
    events: NotRequired[list[str]]
    description: NotRequired[str | None]
    headers: NotRequired[dict[str, str]]
    max_in_flight: NotRequired[int]
    #: Requests per second. Null: unlimited.
    rate_limit: NotRequired[int | None]
    #: Limits of a batch request. Null: one event per request.
    batch: NotRequired[WebhookChangeBatch | None]
    #: record: events of one record are delivered in order, and a failing event delays only its own record. strict: the whole feed is delivered in order, one request at a time, and a failing event delays all later events until it is delivered or given up.
    order: NotRequired[Literal["record", "strict"]]


class ListExportsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only exports with this status.
    status: NotRequired[Literal["pending", "running", "paused", "cancelling", "completed", "failed", "cancelled", "expired"]]
    #: Only exports with records of this resource.
    resource: NotRequired[str]
    #: Only exports in this format.
    format: NotRequired[Literal["jsonl", "csv", "parquet", "digest"]]
    #: records: without checks of replicas. check: only those, which are in the format digest.
    kind: NotRequired[Literal["records", "check"]]


class GetExportFileQuery(TypedDict):
    #: Seconds in which the presigned URL can be opened. Default, and at most: the lifetime of all presigned URLs.
    expires_in: NotRequired[int]


class ListExportChunksQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only chunks of this resource.
    resource: NotRequired[str]
    #: planned: waits for a reader. reading: an extractor reads its rows. extracted: all rows are read. written: all rows are stored.
    state: NotRequired[Literal["planned", "reading", "extracted", "written"]]


class ListWebhooksQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListDeadLettersQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListWebhookAttemptsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: delivered: a 2xx response. failed: anything else. Or the class of an error that left the attempt without a response.
    outcome: NotRequired[Literal["delivered", "failed", "invalid_url", "address_refused", "dns", "refused", "unreachable", "reset", "tls", "timeout", "protocol", "oversized"]]
    #: Only attempts that sent this event, alone or in a batch.
    event_id: NotRequired[str]
    #: Started at this time or later.
    from_: NotRequired[str]
    #: Started before this time.
    to: NotRequired[str]


class GetWebhookStatsQuery(TypedDict):
    #: Default: a day before `to`.
    from_: NotRequired[str]
    #: Default: now. At most 7 days after `from`: older statistics are removed.
    to: NotRequired[str]


class ListEventsQuery(TypedDict):
    #: next_cursor, an event ID or a position.
    after: NotRequired[str]
    #: Start exactly where this export’s snapshot ends.
    after_export: NotRequired[str]
    #: Only events of this resource.
    resource: NotRequired[str]
    #: Size of the page.
    limit: NotRequired[int]


class SearchEventsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Event types, separated by commas, such as `invoice.created,customer.*`.
    type: NotRequired[str]
    #: Only events of this resource.
    resource: NotRequired[str]
    #: With `resource`: only events of the record with this key. A key of several columns is a JSON array of their values.
    key: NotRequired[str]
    #: Committed at this time or later.
    from_: NotRequired[str]
    #: Committed before this time.
    to: NotRequired[str]


class ListBulkOperationsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only bulk jobs with this status.
    status: NotRequired[Literal["pending", "running", "paused", "cancelled", "completed", "failed"]]


class ListBulkResultsQuery(TypedDict):
    #: Results per page. Default: 100.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only results with this status.
    status: NotRequired[Literal["succeeded", "failed", "skipped"]]
    #: Only results with this code. For pages of failed or skipped results.
    code: NotRequired[str]
    #: Returns all results as one file in this format.
    format: NotRequired[Literal["jsonl", "csv", "parquet"]]
    #: Compression of a jsonl or csv file.
    compression: NotRequired[Literal["none", "gzip", "zstd"]]
    #: For csv: puts an apostrophe before cells that a spreadsheet would evaluate.
    csv_safe: NotRequired[Literal["true", "false"]]


class CreateBulkFileQuery(TypedDict):
    #: Checks each line as an ID of this resource.
    resource: NotRequired[str]


class ListAccountKeysQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only keys that are in use, or only revoked ones. Without it: all.
    status: NotRequired[Literal["active", "revoked"]]


class RevokeAccountKeyQuery(TypedDict):
    #: true: revokes the keys that the key made too, and those that they made. Also for a key that is revoked already.
    with_made: NotRequired[Literal["true", "false"]]


class ListResourcesQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListEventTypesQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListAccountsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Part of the name in any case, or a whole ID or `source_id`.
    search: NotRequired[str]


class ListKeysQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only keys that are in use, or only revoked ones. Without it: all.
    status: NotRequired[Literal["active", "revoked"]]


class RevokeKeyQuery(TypedDict):
    #: true: revokes the keys that the key made too, and those that they made. Also for a key that is revoked already.
    with_made: NotRequired[Literal["true", "false"]]


class ListPortalSessionsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListOperatorSessionsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListAuditEntriesQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only entries of this action.
    action: NotRequired[Literal["export.created", "export.paused", "export.resumed", "export.cancelled", "export.deleted", "export.link_given", "export.downloaded", "bulk.created", "bulk.run", "bulk.paused", "bulk.resumed", "bulk.cancelled", "bulk.downloaded", "webhook.created", "webhook.updated", "webhook.paused", "webhook.resumed", "webhook.secret_rotated", "webhook.replayed", "webhook.deleted", "event.redelivered", "events.read", "account.created", "account.updated", "key.created", "key.revoked", "portal_link.created", "portal_session.opened", "portal_session.revoked", "operator_session.opened", "operator_session.revoked"]]
    #: ID of an export, a bulk job, a webhook endpoint or a key.
    subject_id: NotRequired[str]
    #: Only entries of this actor: `operator`, `link`, or the ID of a key or a session.
    actor: NotRequired[str]
    #: At this time or later.
    from_: NotRequired[str]
    #: Before this time.
    to: NotRequired[str]
    #: For the operator only: the account of the request.
    account_id: NotRequired[str]


class ListAccountAuditEntriesQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]
    #: Only entries of this action.
    action: NotRequired[Literal["export.created", "export.paused", "export.resumed", "export.cancelled", "export.deleted", "export.link_given", "export.downloaded", "bulk.created", "bulk.run", "bulk.paused", "bulk.resumed", "bulk.cancelled", "bulk.downloaded", "webhook.created", "webhook.updated", "webhook.paused", "webhook.resumed", "webhook.secret_rotated", "webhook.replayed", "webhook.deleted", "event.redelivered", "events.read", "account.created", "account.updated", "key.created", "key.revoked", "portal_link.created", "portal_session.opened", "portal_session.revoked", "operator_session.opened", "operator_session.revoked"]]
    #: ID of an export, a bulk job, a webhook endpoint or a key.
    subject_id: NotRequired[str]
    #: Only entries of this actor: `operator`, `link`, or the ID of a key or a session.
    actor: NotRequired[str]
    #: At this time or later.
    from_: NotRequired[str]
    #: Before this time.
    to: NotRequired[str]


class ListDeadLetterEndpointsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class ListFailingEndpointsQuery(TypedDict):
    #: Size of the page.
    limit: NotRequired[int]
    #: next_cursor of the page before. It belongs to one list with one filter.
    cursor: NotRequired[str]


class Operation(NamedTuple):
    method: str
    path: str
    body_type: str | None
    #: It takes an Idempotency-Key.
    creates: bool
    #: The operator names the account in the query.
    takes_account: bool


#: Where each operation is, and what its request carries.
OPERATIONS: dict[str, Operation] = {
    "createExport": Operation("POST", "/exports", "application/json", True, True),
    "listExports": Operation("GET", "/exports", None, False, True),
    "getExport": Operation("GET", "/exports/{id}", None, False, True),
    "deleteExport": Operation("DELETE", "/exports/{id}", None, False, True),
    "cancelExport": Operation("POST", "/exports/{id}/cancel", None, False, True),
    "pauseExport": Operation("POST", "/exports/{id}/pause", None, False, True),
    "resumeExport": Operation("POST", "/exports/{id}/resume", None, False, True),
    "getExportFile": Operation("GET", "/exports/{id}/files/{name}", None, False, True),
    "downloadExportFile": Operation("GET", "/files/exports/{id}/{name}", None, False, False),
    "listExportChunks": Operation("GET", "/exports/{id}/chunks", None, False, True),
    "createWebhook": Operation("POST", "/webhooks", "application/json", True, True),
    "listWebhooks": Operation("GET", "/webhooks", None, False, True),
    "getWebhook": Operation("GET", "/webhooks/{id}", None, False, True),
    "updateWebhook": Operation("PATCH", "/webhooks/{id}", "application/json", False, True),
    "deleteWebhook": Operation("DELETE", "/webhooks/{id}", None, False, True),
    "pauseWebhook": Operation("POST", "/webhooks/{id}/pause", None, False, True),
    "resumeWebhook": Operation("POST", "/webhooks/{id}/resume", None, False, True),
    "rotateWebhookSecret": Operation("POST", "/webhooks/{id}/rotate-secret", None, True, True),
    "testWebhook": Operation("POST", "/webhooks/{id}/test", None, False, True),
    "listDeadLetters": Operation("GET", "/webhooks/{id}/dead-letters", None, False, True),
    "redeliverEvent": Operation("POST", "/events/{id}/redeliver", "application/json", False, True),
    "listEventDeliveries": Operation("GET", "/events/{id}/deliveries", None, False, True),
    "replayWebhook": Operation("POST", "/webhooks/{id}/replay", "application/json", False, True),
    "listWebhookAttempts": Operation("GET", "/webhooks/{id}/attempts", None, False, True),
    "getWebhookAttempt": Operation("GET", "/webhooks/{id}/attempts/{attempt_id}", None, False, True),
    "getWebhookStats": Operation("GET", "/webhooks/{id}/stats", None, False, True),
    "listEvents": Operation("GET", "/events", None, False, True),
    "searchEvents": Operation("GET", "/events/search", None, False, True),
    "getEvent": Operation("GET", "/events/{id}", None, False, True),
    "getFeed": Operation("GET", "/feed", None, False, False),
    "createBulkOperation": Operation("POST", "/bulk/operations", "application/json", True, True),
    "listBulkOperations": Operation("GET", "/bulk/operations", None, False, True),
    "getBulkOperation": Operation("GET", "/bulk/operations/{id}", None, False, True),
    "listBulkResults": Operation("GET", "/bulk/operations/{id}/results", None, False, True),
    "cancelBulkOperation": Operation("POST", "/bulk/operations/{id}/cancel", None, False, True),
    "pauseBulkOperation": Operation("POST", "/bulk/operations/{id}/pause", None, False, True),
    "resumeBulkOperation": Operation("POST", "/bulk/operations/{id}/resume", None, False, True),
    "createBulkFile": Operation("POST", "/bulk/files", "text/plain", True, True),
    "getAccount": Operation("GET", "/account", None, False, True),
    "listAccountKeys": Operation("GET", "/keys", None, False, True),
    "createAccountKey": Operation("POST", "/keys", "application/json", True, True),
    "revokeAccountKey": Operation("DELETE", "/keys/{id}", None, False, True),
    "listResources": Operation("GET", "/resources", None, False, True),
    "getResource": Operation("GET", "/resources/{name}", None, False, True),
    "listEventTypes": Operation("GET", "/event-types", None, False, True),
    "createAccount": Operation("POST", "/admin/accounts", "application/json", True, False),
    "listAccounts": Operation("GET", "/admin/accounts", None, False, False),
    "getAccountAsOperator": Operation("GET", "/admin/accounts/{id}", None, False, False),
    "updateAccount": Operation("PATCH", "/admin/accounts/{id}", "application/json", False, False),
    "createKey": Operation("POST", "/admin/accounts/{id}/keys", "application/json", True, False),
    "listKeys": Operation("GET", "/admin/accounts/{id}/keys", None, False, False),
    "revokeKey": Operation("DELETE", "/admin/accounts/{id}/keys/{key_id}", None, False, False),
    "createPortalLink": Operation("POST", "/admin/accounts/{id}/portal-links", "application/json", True, False),
    "listPortalSessions": Operation("GET", "/admin/accounts/{id}/portal-sessions", None, False, False),
    "revokePortalSessions": Operation("DELETE", "/admin/accounts/{id}/portal-sessions", None, False, False),
    "revokePortalSession": Operation("DELETE", "/admin/accounts/{id}/portal-sessions/{session_id}", None, False, False),
    "listOperatorSessions": Operation("GET", "/admin/operator-sessions", None, False, False),
    "revokeOperatorSessions": Operation("DELETE", "/admin/operator-sessions", None, False, False),
    "revokeOperatorSession": Operation("DELETE", "/admin/operator-sessions/{session_id}", None, False, False),
    "listAuditEntries": Operation("GET", "/admin/audit", None, False, False),
    "listAccountAuditEntries": Operation("GET", "/audit", None, False, True),
    "getSource": Operation("GET", "/admin/source", None, False, False),
    "getStatus": Operation("GET", "/admin/status", None, False, False),
    "listDeadLetterEndpoints": Operation("GET", "/admin/dead-letters", None, False, False),
    "listFailingEndpoints": Operation("GET", "/admin/failing-endpoints", None, False, False),
    "getMetrics": Operation("GET", "/metrics", None, False, False),
    "getHealth": Operation("GET", "/healthz", None, False, False),
    "getReadiness": Operation("GET", "/readyz", None, False, False),
    "getOpenApi": Operation("GET", "/openapi.json", None, False, False),
    "getOperatorOpenApi": Operation("GET", "/admin/openapi.json", None, False, False),
}
