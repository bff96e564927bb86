import type { Messages } from '../messages/messages.ts';

type Failure = keyof Messages['exports']['details']['failures'];

/** Customer texts for failure codes; codes with the same remedy share a text. */
const CODES: Readonly<Record<Failure, readonly string[]>> = {
  locked: ['table_locked'],
  changed: ['table_changed'],
  needsFull: ['feed_reset', 'base_too_old'],
  notCovered: ['moment_not_covered'],
  notRecorded: ['record_not_known'],
  tooLong: ['export_timeout'],
  value: ['row_too_large', 'row_unencodable', 'row_unreadable'],
  again: [
    'row_count_mismatch',
    'snapshot_mismatch',
    'part_lost',
    'assembly_failed',
    'too_many_open_chunks',
    'control_store_restored',
    'pause_expired',
  ],
  repeated: ['attempts_exhausted'],
  storage: ['storage_full', 'storage_refused'],
  feed: ['feed_not_running', 'feed_not_settled'],
  setup: [
    'feed_mismatch',
    'source_is_standby',
    'source_refused',
    'permission_denied',
    'source_corrupted',
    'table_unfit',
    'schema_incompatible',
  ],
  request: ['invalid_request'],
};

/** @returns undefined for a code of a later version */
export function failureOf(code: string): Failure | undefined {
  return (Object.keys(CODES) as Failure[]).find((failure) => CODES[failure].includes(code));
}
