/** What holds work up, from the source to the customer. The first of a list is the one to look at. */
export const BOTTLENECKS = [
  'feed_gap',
  'service_missing',
  'capture_idle',
  'feed_stalled',
  'source_full',
  'kafka_silent',
  'outbox_waits',
  'open_transaction',
  'capture_behind',
  'recording_behind',
  'writing_behind',
  'reading_busy',
  'exports_at_limit',
  'exports_queued',
  'bulk_at_limit',
  'bulk_handler_away',
  'bulk_feed_behind',
  'bulk_quota_used',
  'bulk_busy',
  'deliveries_due',
  'receivers_failing',
] as const;

export type BottleneckCode = (typeof BOTTLENECKS)[number];
