import { fieldsOf } from '../../../shared/catalog/describe-table.ts';
import { type Catalog, findResource, leaves, type Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange, ResetReason } from '../../../shared/domain/change.ts';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import {
  columnOfField,
  columnsOfFields,
  type PublicField,
  plainFieldOf,
} from '../../../shared/domain/public-field.ts';
import { columnOfName, publicKey } from '../../../shared/domain/public-names.ts';
import type { RowTexts, RowType } from '../../../shared/domain/row-type.ts';
import type { Registry } from '../../../shared/kafka/registry.ts';
import { createChangeDecoder } from '../../../shared/values/change-codec.ts';
import { createRowJson } from '../../../shared/values/json-text.ts';
import { createPublicShape, toPublicChange } from '../../../shared/values/public-shape.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';
import { readRegistryId } from '../../../shared/values/wire-format.ts';
import type { RecordedEvent } from './insert-events.ts';

/** Decodes and renders the changes of one schema version of one resource. */
export interface ChangeReader {
  readonly decode: (message: Buffer) => DecodedChange;
  /** Undefined when the catalog no longer has the resource. */
  readonly renderer: EventRenderer | undefined;
}

/**
 * Finds the reader of a message by its schema ID, without the source database. Readers are cached: one per version of a
 * table's columns, so the registry bounds their number.
 *
 * @throws when the registry can't be reached, or the message is not a change
 */
export function createChangeReaders(
  catalog: Catalog,
  registry: Pick<Registry, 'fetch' | 'forget'>,
): (message: Buffer) => ChangeReader | Promise<ChangeReader> {
  const readers = new Map<number, ChangeReader>();
  const load = async (id: number): Promise<ChangeReader> => {
    const schema = await registry.fetch(id);
    const { rowType, decode } = createChangeDecoder(schema);
    const resource = findResource(catalog, rowType.resource);
    const reader: ChangeReader = {
      decode(message) {
        try {
          return decode(message);
        } catch (error) {
          // A registry that was emptied gives its IDs again: the next attempt reads the message with the schema of today.
          readers.delete(id);
          registry.forget(id);
          throw error;
        }
      },
      renderer: resource === undefined ? undefined : rendererOf(resource, rowType),
    };
    readers.set(id, reader);
    return reader;
  };
  return (message) => {
    const id = readRegistryId(message);
    return readers.get(id) ?? load(id);
  };
}

/** Changes carry their public fields. Those from before the catalog had fields are rendered by the catalog. */
function rendererOf(resource: Resource, rowType: RowType): EventRenderer {
  const shown = rowType.fields === undefined ? { ...rowType, ...fieldsOf(resource) } : rowType;
  const names = rowType.columns.map(({ name }) => name);
  if (!columnsOfFields(shown.fields ?? []).every((name) => names.includes(name)))
    return createResetRenderer(resource);
  const fields = createPublicShape(shown).rowType.columns.map(({ name }) => name);
  return publicKey(resource).every((name) => fields.includes(name))
    ? createEventRenderer(resource, shown)
    : createResetRenderer(resource);
}

/** Sent when changes can't be expressed as events, such as after a truncation. The account has to export again. */
const FEED_RESET = 'feed.reset';

/**
 * Renders the events of one resource. Everything in an event follows from its change, so a replay gives the same bytes.
 */
export interface EventRenderer {
  /** Renders an insert, update or delete. */
  render(change: DecodedChange): RecordedEvent;
  /** Renders a truncation, once for each account. */
  renderReset(change: DecodedChange, account: string): RecordedEvent;
}

/**
 * For changes whose columns no longer match the catalog, because both changed while the changes waited in the topic.
 * Each becomes a `feed.reset` of its resource. An error instead would stop every account of the partition.
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

/** @throws RangeError when the row type lacks a column of the resource's key */
export function createEventRenderer(resource: Resource, rowType: RowType): EventRenderer {
  const shape = createPublicShape(rowType);
  const withheld = withheldFields(resource, rowType);
  const json = createEventJson(shape.rowType, publicKey(resource), withheld);
  const jsonNulls = createPayloadNotes(shape.rowType);
  const softDelete = softDeleteColumn(resource, rowType);
  const softDeleteIndex = rowType.columns.findIndex(({ name }) => name === softDelete);
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
    render(raw) {
      const type = `${resource.event}.${verbOf(raw, isDeleted(raw.before), isDeleted(raw.after))}`;
      const change = toPublicChange(shape, raw);
      const previous = json.previousJson(change);
      const untold = change.unchanged.filter((name) => !withheld.includes(name));
      // A record that moved to the account has no earlier value to keep. If it is gone from the source again, `deleted`
      // follows.
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

/** The fields that the change has and that are no longer published. */
function withheldFields(resource: Resource, { columns, fields }: RowType): readonly string[] {
  const isShown = (name: string) => resource.fields?.some((field) => field.name === name);
  if (fields === undefined) {
    return columns.map(({ name }) => name).filter((name) => !(isShown(name) ?? leaves(resource, name)));
  }
  // A reused name may have belonged to another column, which is no longer published. `expose` does not know earlier
  // names of today's columns.
  const isHidden = (field: PublicField) => resource.hide.includes(columnOfField(field) ?? '');
  return fields
    .filter(
      (field) =>
        isHidden(field) || !(isShown(field.name) ?? leaves(resource, columnOfField(field) ?? field.name)),
    )
    .map(({ name }) => name);
}

/** The column may have been renamed since the change was written, but its field's name stays. */
function softDeleteColumn({ softDelete, fields = [] }: Resource, rowType: RowType): string | undefined {
  const name = softDelete === undefined ? undefined : plainFieldOf(fields, softDelete)?.name;
  return (name === undefined ? undefined : columnOfName(rowType, name)) ?? softDelete;
}

/**
 * The `feed.reset` that replaces an event past its retention: subscribers have to export again. It keeps the event's
 * position in the feed, and gets a time within the retention.
 */
export function toExpiredReset(event: RecordedEvent, committedAt: string): RecordedEvent {
  const facts = { ...event, type: FEED_RESET, recordKey: '[]', committedAt };
  return toRecorded(facts, resetContent('events_expired', event.resource), '');
}

/** Changes written by an earlier version give no reason. After a gap there is no transaction to name. */
function earlierReason({ source }: DecodedChange): ResetReason {
  return source.xid === 0n ? 'changes_lost' : 'table_truncated';
}

function resetContent(reason: string, resource: string): string {
  return `"key":null,"data":${JSON.stringify({ reason, resources: [resource] })}`;
}

/** `content` and `source` are members of the payload as JSON text. */
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
 * For customers a soft-deleted record is deleted, and a restored one is created. A change of a record that stays
 * soft-deleted is sent as `deleted` again: receivers that keep only live records ignore it, and others find the new
 * values in `data`.
 */
function verbOf({ op }: DecodedChange, wasDeleted: boolean, isDeleted: boolean): string {
  if (op === 'delete' || isDeleted) return 'deleted';
  return op === 'insert' || wasDeleted ? 'created' : 'updated';
}

/** Always six fractional digits, so that timestamps compare as text. */
function formatMicros(micros: bigint): string {
  const millis = micros / 1_000n;
  const rest = micros % 1_000n;
  return `${new Date(Number(millis)).toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** The content of a customer's event. Each text except the record key is a JSON object. */
export interface EventJson {
  /**
   * The row after the change, or the deleted row, with the same bytes as in an export. A column with an unknown value
   * (`unchanged` or `missing`) is left out, so that it is never read as null.
   */
  dataJson(change: DecodedChange): string;
  /**
   * The former values of the columns that an update changed; `{}` when none changed. Undefined when there is nothing to
   * compare: the change is no update, or the replica identity covers only part of the old row.
   */
  previousJson(change: DecodedChange): string | undefined;
  /** The key columns with their values, in column order. */
  keyJson(change: DecodedChange): string;
  recordKey(change: DecodedChange): string;
}

/** The row of a change. A truncation has none: it becomes a `feed.reset`, and asking for its data is a bug. */
function rowOf(change: DecodedChange): RowTexts {
  const row = change.after ?? change.before;
  if (row === null) throw new RangeError(`a ${change.op} of ${change.resource} has no row`);
  return row;
}

/**
 * @param withheld columns to leave out because they are no longer published, though they were when the change was
 * written
 */
export function createEventJson(
  rowType: RowType,
  keyColumns: readonly string[],
  withheld: readonly string[] = [],
): EventJson {
  const { toJson } = createRowJson(rowType);
  const { ofWireTexts } = createRecordKey(rowType, keyColumns);
  const names = rowType.columns.map((column) => column.name);
  const notKey = new Set(names.filter((name) => !keyColumns.includes(name)));

  return {
    dataJson(change) {
      const unknown = change.after === null ? change.missing : change.unchanged;
      return toJson(rowOf(change), new Set([...unknown, ...withheld]));
    },

    previousJson({ op, before, after, unchanged, missing }) {
      if (op !== 'update' || before === null || after === null || missing.length > 0) return undefined;
      // Columns whose value was not sent again did not change.
      const same = names.filter((name, index) => unchanged.includes(name) || before[index] === after[index]);
      return toJson(before, new Set([...same, ...withheld]));
    },

    keyJson: (change) => toJson(rowOf(change), notKey),
    recordKey: (change) => ofWireTexts(rowOf(change)),
  };
}

const JSON_NULL = 'null';
const NONE = '{}';

/**
 * Facts that the payload does not show, needed to rebuild a row from an event: `data` and `previous` name the columns
 * with a JSON null, which looks like SQL NULL, and `filled` names the columns whose value may be later than the change.
 */
export function createPayloadNotes({ columns }: RowType): (change: DecodedChange) => string {
  const places = columns.flatMap(({ type }, place) => (type.kind === 'json' ? [place] : []));
  const nullsOf = (row: RowTexts | null) =>
    row === null
      ? []
      : places.filter((place) => row[place] === JSON_NULL).map((place) => columns[place]?.name);
  return ({ before, after, filled }) => {
    if (places.length === 0 && filled === undefined) return NONE;
    const data = nullsOf(after ?? before);
    const previous = after === null ? [] : nullsOf(before);
    if (data.length + previous.length === 0 && filled === undefined) return NONE;
    const later = filled && { columns: filled.columns, lsn: formatLsn(filled.lsn) };
    return JSON.stringify({ data, previous, filled: later });
  };
}
