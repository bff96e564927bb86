import { elementsOf, membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { type Position, parsePosition } from '../../../shared/domain/position.ts';
import { CouldNotTellError, type VerifyApi } from './verify-api.ts';

/** An event of the pulled feed. JSON values are the texts that came. */
export interface PulledEvent {
  readonly id: string;
  readonly type: string;
  readonly resource: string;
  readonly position: Position;
  readonly positionText: string;
  /** Of the top-level transaction, 64 bits wide. */
  readonly xid: bigint;
  /** Of the change in its transaction. */
  readonly index: number;
  readonly key: string;
  readonly data: string;
  readonly previous: string | undefined;
  readonly unchanged: readonly string[];
}

export interface FeedPage {
  readonly events: readonly PulledEvent[];
  readonly hasMore: boolean;
  /** The query that goes on behind this page. */
  readonly next: string;
}

const PAGE_EVENTS = 1_000;

/** One page of the feed. `query` is `after_export=…`, or what the page before gave. */
export async function readFeedPage(api: VerifyApi, query: string, account: string): Promise<FeedPage> {
  const page = membersOf(await api.ask('GET', `/events?${query}&limit=${PAGE_EVENTS}${account}`));
  const cursor = textOf(page, 'next_cursor');
  return {
    events: elementsOf(rawOf(page, 'data')).map(toEvent),
    hasMore: rawOf(page, 'has_more') === 'true',
    next: `after=${encodeURIComponent(cursor)}`,
  };
}

function toEvent(json: string): PulledEvent {
  const members = membersOf(json);
  const positionText = textOf(members, 'position');
  const position = parsePosition(positionText);
  if (position === undefined)
    throw new CouldNotTellError(`the feed has an event at "${positionText}", which is no position`);
  const transaction = membersOf(rawOf(members, 'transaction'));
  return {
    id: textOf(members, 'id'),
    type: textOf(members, 'type'),
    resource: textOf(members, 'resource'),
    position,
    positionText,
    xid: BigInt(textOf(transaction, 'id')),
    index: Number(rawOf(transaction, 'index')),
    key: rawOf(members, 'key'),
    data: rawOf(members, 'data'),
    previous: members.get('previous'),
    unchanged: [...namesIn(members, 'unchanged'), ...namesIn(members, 'unknown')],
  };
}

function namesIn(members: ReadonlyMap<string, string>, name: string): string[] {
  return JSON.parse(members.get(name) ?? '[]') as string[];
}

function rawOf(members: ReadonlyMap<string, string>, name: string): string {
  const raw = members.get(name);
  if (raw === undefined)
    throw new CouldNotTellError(`the API's response has no "${name}": is it another version's?`);
  return raw;
}

function textOf(members: ReadonlyMap<string, string>, name: string): string {
  return String(JSON.parse(rawOf(members, name)));
}
