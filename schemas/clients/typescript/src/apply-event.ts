import { elementsOf, membersOf, objectOf } from './raw-json.ts';
import type { StoredRecord, StoreTransaction } from './replica-store.ts';

/** An event as its JSON texts, so that no digit of a record changes. */
export interface RawEvent {
  readonly id: string;
  readonly type: string;
  /** Null for events of the account. */
  readonly position: string | null;
  readonly timestamp: string;
  readonly resource: string;
  readonly key: string;
  readonly data: string;
  readonly unchanged: readonly string[];
}

/** @throws SyntaxError when the text is not an event */
export function readEvent(json: string): RawEvent {
  const members = membersOf(json);
  const text = (name: string) => {
    const value: unknown = JSON.parse(members.get(name) ?? 'null');
    return typeof value === 'string' ? value : '';
  };
  const position = text('position');
  return {
    id: text('id'),
    type: text('type'),
    position: position === '' ? null : position,
    timestamp: text('timestamp'),
    resource: text('resource'),
    key: members.get('key') ?? 'null',
    data: members.get('data') ?? 'null',
    unchanged: JSON.parse(members.get('unchanged') ?? '[]') as string[],
  };
}

/** The events of a webhook's body: one, or those of a batch. */
export function eventsOfBody(text: string): RawEvent[] {
  const members = membersOf(text);
  const batch = members.get('type') === '"batch"' ? members.get('events') : undefined;
  return batch === undefined ? [readEvent(text)] : elementsOf(batch).map(readEvent);
}

/** A page of `GET /events`. */
export function readPage(text: string): { events: RawEvent[]; hasMore: boolean; cursor: string } {
  const members = membersOf(text);
  return {
    events: elementsOf(members.get('data') ?? '[]').map(readEvent),
    hasMore: members.get('has_more') === 'true',
    cursor: JSON.parse(members.get('next_cursor') ?? 'null') as string,
  };
}

export type Applied =
  | 'applied'
  /** It came before. */
  | 'repeated'
  /** It leaves values as they are, and the record that has them is not there. */
  | 'no_base';

/**
 * Applies one event of a record. Events of one record may repeat, and never overtake each other for the first time;
 * so one that is not behind the record's own position came before.
 */
export async function applyEvent(
  transaction: StoreTransaction,
  load: number,
  event: RawEvent & { readonly position: string },
): Promise<Applied> {
  const { resource, key, position, timestamp: at } = event;
  const stored = await transaction.read(load, resource, key);
  if (stored?.position != null && stored.position >= position) return 'repeated';
  if (event.type.endsWith('.deleted')) {
    await transaction.write(load, resource, key, { data: null, position, at });
    return 'applied';
  }
  const data = event.unchanged.length === 0 ? event.data : keepUnchanged(event, stored);
  if (data === undefined) return 'no_base';
  await transaction.write(load, resource, key, { data, position, at });
  return 'applied';
}

/** The event's record with the values that it leaves as they are, in the order of the record's columns. */
function keepUnchanged({ data, unchanged }: RawEvent, stored: StoredRecord | undefined): string | undefined {
  if (stored?.data == null) return undefined;
  const sent = membersOf(data);
  const kept = membersOf(stored.data);
  if (unchanged.some((name) => !kept.has(name))) return undefined;
  const names = new Set([...kept.keys(), ...sent.keys()]);
  const isLeft = new Set(unchanged);
  return objectOf(
    [...names].flatMap((name) => {
      const value = isLeft.has(name) ? kept.get(name) : sent.get(name);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}
