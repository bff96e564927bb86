import { leaves, type Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange, ResetReason } from '../../../shared/domain/change.ts';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import type { RowShape, RowTexts } from '../../../shared/domain/row-shape.ts';
import { createEventJson } from './event-json.ts';
import { createJsonNulls } from './json-nulls.ts';
import type { RecordedEvent } from './recorded-event.ts';

/** Told to an account when there are changes that no event tells, as of a table that was emptied at once: it needs a new export. */
export const FEED_RESET = 'feed.reset';

/** Makes events of one resource's changes. Everything in an event follows from its change, so a replay gives the same bytes. */
export interface EventRenderer {
  /** For inserts, updates and deletes. */
  render(change: DecodedChange): RecordedEvent;
  /** For a truncation, once for each account. */
  renderReset(change: DecodedChange, account: string): RecordedEvent;
}

/**
 * For changes whose columns are not those of the catalog any more, because both were adapted while they waited in the topic: each
 * tells its account that the resource needs a new export. To stop at one would stop every account of its partition.
 */
export function createResetRenderer(resource: Resource): EventRenderer {
  const renderReset = (change: DecodedChange, account: string) => {
    const { commitLsn, index, xid, committedAtMicros } = change.source;
    const reason = change.resetReason ?? (change.op === 'truncate' ? earlierReason(change) : 'table_unfit');
    return toRecorded(
      {
        commitLsn,
        index,
        xid,
        account,
        type: FEED_RESET,
        op: 'truncate',
        jsonNulls: '{}',
        resource: resource.name,
        recordKey: '[]',
        committedAt: formatMicros(committedAtMicros),
      },
      resetContent(reason, resource.name),
      '',
    );
  };
  return { renderReset, render: (change) => renderReset(change, change.account) };
}

/** @throws RangeError when the shape lacks a column of the resource's key */
export function createEventRenderer(resource: Resource, shape: RowShape): EventRenderer {
  const withheld = shape.columns.map(({ name }) => name).filter((name) => !leaves(resource, name));
  const json = createEventJson(shape, resource.key, withheld);
  const jsonNulls = createJsonNulls(shape);
  const softDeleteIndex = shape.columns.findIndex((column) => column.name === resource.softDelete);
  const isDeleted = (row: RowTexts | null) =>
    softDeleteIndex >= 0 && (row?.[softDeleteIndex] ?? null) !== null;

  const assemble = (
    change: DecodedChange,
    account: string,
    type: string,
    recordKey: string,
    content: string,
  ): RecordedEvent => {
    const { commitLsn, index, xid, committedAtMicros, bulkJobId } = change.source;
    const facts = { commitLsn, index, xid, account, type, op: change.op, jsonNulls: jsonNulls(change) };
    const committedAt = formatMicros(committedAtMicros);
    const source = bulkJobId === null ? '' : `,"source":{"bulk_job_id":${JSON.stringify(bulkJobId)}}`;
    return toRecorded({ ...facts, resource: resource.name, recordKey, committedAt }, content, source);
  };

  return {
    render(change) {
      const type = `${resource.event}.${verbOf(change, isDeleted(change.before), isDeleted(change.after))}`;
      const previous = json.previousJson(change);
      const untold = change.unchanged.filter((name) => !withheld.includes(name));
      // A record that moved to the account has no earlier value to keep. It is gone from the source again: `deleted` follows.
      const howUntold = change.op === 'insert' ? 'unknown' : 'unchanged';
      const content =
        `"key":${json.keyJson(change)},"data":${json.dataJson(change)}` +
        (previous === undefined ? '' : `,"previous":${previous}`) +
        (untold.length === 0 ? '' : `,"${howUntold}":${JSON.stringify(untold)}`);
      return assemble(change, change.account, type, json.recordKey(change), content);
    },
    renderReset(change, account) {
      const reason = change.resetReason ?? earlierReason(change);
      return assemble(change, account, FEED_RESET, '[]', resetContent(reason, resource.name));
    },
  };
}

/**
 * What takes the place of an event that came too late to be kept: its subscribers have to start anew. It has its event's
 * place in the feed, and another time, at which it is kept.
 */
export function toExpiredReset(event: RecordedEvent, committedAt: string): RecordedEvent {
  const facts = { ...event, type: FEED_RESET, recordKey: '[]', committedAt };
  return toRecorded(facts, resetContent('events_expired', event.resource), '');
}

/** Changes that an earlier version wrote say no reason. Behind a gap there is no transaction to name. */
function earlierReason({ source }: DecodedChange): ResetReason {
  return source.xid === 0n ? 'changes_lost' : 'table_truncated';
}

function resetContent(reason: string, resource: string): string {
  return `"key":null,"data":${JSON.stringify({ reason, resources: [resource] })}`;
}

/** `content` and `source` are members of the payload, as JSON text. */
function toRecorded(
  facts: Omit<RecordedEvent, 'payloadHead' | 'payloadTail'>,
  content: string,
  source: string,
): RecordedEvent {
  const { commitLsn, index, xid, type, resource, committedAt } = facts;
  const position = { commitLsn, index };
  return {
    ...facts,
    payloadHead: `{"id":"${eventId(position)}","type":"${type}","timestamp":"${committedAt}","account_id":"`,
    payloadTail:
      `","position":"${formatPosition(position)}","resource":"${resource}",${content},` +
      `"transaction":{"id":"${xid}","index":${index}}${source}}`,
  };
}

/**
 * A record that is soft-deleted is gone for the customer, and one that is restored is new to them. A change of a record
 * that stays soft-deleted is told as `deleted` again: a receiver that keeps only living records passes over it, and
 * one that keeps all finds the new values in `data`.
 */
function verbOf({ op }: DecodedChange, wasDeleted: boolean, isDeleted: boolean): string {
  if (op === 'delete' || isDeleted) return 'deleted';
  return op === 'insert' || wasDeleted ? 'created' : 'updated';
}

/** Always six digits of fraction, so that timestamps compare as texts. */
function formatMicros(micros: bigint): string {
  const millis = micros / 1_000n;
  const rest = micros % 1_000n;
  return `${new Date(Number(millis)).toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}
