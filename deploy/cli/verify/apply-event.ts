import { membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { type ComparedRecord, keyOf } from './compare-rows.ts';
import type { PulledEvent } from './feed-pages.ts';
import type { RecordStore } from './record-store.ts';
import { CouldNotTellError } from './verify-api.ts';

/** Something in the files or the feed that a correct one can't contain. Holds no values but the key. */
export interface Violation {
  readonly resource: string;
  readonly key: string;
  readonly text: string;
}

/**
 * Applies an event as a subscriber does, and notices what a feed without loss or repeat can't hold: the same change twice, a
 * second creation, an update of nothing, and a former value that the record never had.
 *
 * @throws CouldNotTellError for a `feed.reset`: from there on nobody can know the records without a new export
 */
export function applyEvent(
  event: PulledEvent,
  {
    records,
    catalog,
    onViolation,
  }: { records: RecordStore; catalog: Catalog; onViolation: (found: Violation) => void },
): void {
  if (event.type === 'feed.reset') {
    throw new CouldNotTellError(
      `the feed was reset for ${event.resource} after the export${reasonOf(event)}: take a new export, and verify that one`,
    );
  }
  const resource = findResource(catalog, event.resource);
  if (resource === undefined) {
    throw new CouldNotTellError(
      `the feed has the resource ${event.resource}, which the catalog does not: use the services' CATALOG`,
    );
  }
  const key = keyOf(resource, membersOf(event.key));
  const tell = (text: string) => onViolation({ resource: resource.name, key, text: `${text} (${event.id})` });
  if (!records.noteChange(event.xid, event.index)) {
    tell('the same change is in the feed twice');
    return;
  }
  const known = records.find(resource.name, key);
  const verb = event.type.slice(event.type.indexOf('.') + 1);
  if (verb === 'created' && known !== undefined) tell('created, but it was there');
  if (verb === 'updated' && known === undefined) tell('updated, but it was not there');
  if (verb === 'updated' && known !== undefined && event.previous !== undefined) {
    const other = otherThan(known, event.previous);
    if (other.length > 0) tell(`an earlier change of ${other.join(', ')} is missing`);
  }
  if (verb === 'deleted') records.remove(resource.name, key);
  else records.put(resource.name, key, afterEvent(event, known));
}

/** The columns that did not have the value from which the event changed them. */
function otherThan(known: ComparedRecord, previous: string): string[] {
  const former = membersOf(previous);
  if (former.size === 0) return [];
  const members = membersOf(known.json);
  return [...former]
    .filter(([name, value]) => !known.unknown.includes(name) && members.get(name) !== value)
    .map(([name]) => name);
}

/**
 * The record as the event leaves it. A large value that did not change is taken from the record before; a record that was not
 * there, because it had been soft-deleted, has none, so that the value is unknown to every subscriber.
 */
function afterEvent({ data, unchanged }: PulledEvent, known: ComparedRecord | undefined): ComparedRecord {
  if (unchanged.length === 0) return { json: data, unknown: [] };
  const before = known === undefined ? new Map<string, string>() : membersOf(known.json);
  const members = membersOf(data);
  const unknown: string[] = [];
  for (const name of unchanged) {
    const value = before.get(name);
    if (value === undefined) unknown.push(name);
    else members.set(name, value);
  }
  return { json: printInOrder(members, [...before.keys()]), unknown };
}

/** Members in the order of the record before, which is the columns' order. */
function printInOrder(members: ReadonlyMap<string, string>, order: readonly string[]): string {
  const names = [
    ...order.filter((name) => members.has(name)),
    ...[...members.keys()].filter((name) => !order.includes(name)),
  ];
  return `{${names.map((name) => `${JSON.stringify(name)}:${members.get(name)}`).join(',')}}`;
}

/** `data.reason` of a reset, as ` (table_truncated)`; empty for one of an earlier version, which gives none. */
function reasonOf({ data }: PulledEvent): string {
  const reason = membersOf(data).get('reason');
  return reason === undefined ? '' : ` (${JSON.parse(reason)})`;
}
