/**
 * Why a resource's feed begins anew, as customers read it in `data.reason` of `feed.reset`. A reader takes reasons that it does
 * not know as they are: a newer capture may give one.
 */
export type ResetReason =
  /** `TRUNCATE`: all rows are gone at once. */
  | 'table_truncated'
  /** Another table has the name, or the table was out of the publication for a while. */
  | 'table_replaced'
  /** `ALTER TABLE … ALTER COLUMN … TYPE` and other rewrites that may give every row other values. */
  | 'table_rewritten'
  /** A column was added, dropped, renamed, or became visible: rows have other members than before. */
  | 'columns_changed'
  /** Rows that were there before the column have a value in it that no event tells. */
  | 'column_added_with_default'
  /** Labels of an enum, attributes of a composite type, or what lies under a domain. */
  | 'type_changed'
  /** A partition or an inheritance child with rows was attached, detached, dropped or emptied. */
  | 'partition_changed'
  /** Row filter, column list or operations of the publication: some changes did not come by. */
  | 'publication_changed'
  /** A row went away whose old version does not say whose it was. */
  | 'record_unknown'
  /** A row holds a value that has no form in the feed. The resource's changes are passed over until `resource_resumed`. */
  | 'row_unencodable'
  /** The table and the catalog no longer go together. The resource's changes are passed over until `resource_resumed`. */
  | 'table_unfit'
  /** What kept the resource from being told is mended: from here on its feed is whole again. */
  | 'resource_resumed'
  /** Behind a gap: nobody knows which changes are missing. */
  | 'changes_lost'
  /** The change reached the event log later than events are kept. */
  | 'events_expired';
