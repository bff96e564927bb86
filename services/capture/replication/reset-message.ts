import { isSameTableForm, parseTableForm } from '../../../shared/catalog/table-form.ts';
import type { ResetReason } from '../../../shared/domain/change.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteLiteral } from '../../../shared/postgres/quote.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';

/** Announced identity of each resource's table: a `TableForm` as JSON, or `GONE`. */
export type TableIdentities = ReadonlyMap<string, string>;

/** The identity of a resource whose table does not exist under its name. */
export const GONE = 'gone';

/** The OIDs of the resources' tables by their identities, which change only with a reset in the stream. */
export function createOidOf(identities: TableIdentities): (resource: string) => number | undefined {
  const parsed = new Map<string, { readonly identity: string; readonly oid: number | undefined }>();
  return (resource) => {
    const identity = identities.get(resource);
    if (identity === undefined) return undefined;
    const known = parsed.get(resource);
    if (known?.identity === identity) return known.oid;
    const oid = parseTableForm(identity)?.oid;
    parsed.set(resource, { identity, oid });
    return oid;
  };
}

export interface AnnouncedReset {
  readonly resource: string;
  /** The table's present identity. */
  readonly identity: string;
  /** The identity announced before; undefined in a message of an earlier version. */
  readonly former: string | undefined;
  readonly reason: string;
  /** Rows were removed, and none was added or changed. */
  readonly isLossOnly: boolean;
}

/**
 * Whether the reset was already announced: an earlier session sent the same message, and ended before it was streamed.
 *
 * @param known the announced identity at the message's position
 */
export function isAnnounced({ identity, former }: AnnouncedReset, known: string | undefined): boolean {
  return former !== undefined && known !== former && known !== undefined && isSameForm(known, identity);
}

/**
 * The identity that the feed knows behind the reset. One whose table's form did not change has the form from before it,
 * and the table may have been adopted in a later form until the reset is streamed.
 */
export function identityBehind({ identity, former }: AnnouncedReset, known: string | undefined): string {
  return identity === former ? (known ?? identity) : identity;
}

/** Sends resets through the WAL, so that each has its position in the feed, after its cause. */
export async function announceResets(db: Queryable, resets: readonly AnnouncedReset[]): Promise<void> {
  await db.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.reset, writeResets(resets)]);
}

/** The same for one reset as SQL without parameters, for a transaction that also has its cause. */
export function announcementSql(reset: AnnouncedReset): string {
  return `select pg_logical_emit_message(true, ${quoteLiteral(WAL_MESSAGES.reset)}, ${quoteLiteral(writeResets([reset]))})`;
}

function writeResets(resets: readonly AnnouncedReset[]): string {
  const tables = Object.fromEntries(resets.map(({ resource, identity }) => [resource, identity]));
  const reasons = Object.fromEntries(resets.map(({ resource, reason }) => [resource, reason]));
  const losses = resets.filter(({ isLossOnly }) => isLossOnly).map(({ resource }) => resource);
  const formers = Object.fromEntries(resets.map(({ resource, former }) => [resource, former]));
  return JSON.stringify({ tables, reasons, formers, losses });
}

/** An earlier version gave no reason. */
const EARLIER_REASON: ResetReason = 'table_replaced';

/** Two reads of the same table differ only in their time. */
function isSameForm(a: string, b: string): boolean {
  const [one, other] = [parseTableForm(a), parseTableForm(b)];
  return one === undefined || other === undefined ? a === b : isSameTableForm(one, other);
}

/** Anyone who may write to the database can send such a message. An invalid one names no table. */
export function readResets(content: string): AnnouncedReset[] {
  try {
    const { tables, reasons, formers, losses } = JSON.parse(content) as Readonly<Record<string, unknown>>;
    if (!isRecord(tables)) return [];
    return Object.entries(tables).flatMap(([resource, identity]) => {
      if (typeof identity !== 'string') return [];
      const reason = textOf(reasons, resource) ?? EARLIER_REASON;
      const isLossOnly = Array.isArray(losses) && losses.includes(resource);
      return [{ resource, identity, former: textOf(formers, resource), reason, isLossOnly }];
    });
  } catch {
    return [];
  }
}

function textOf(texts: unknown, name: string): string | undefined {
  const text = isRecord(texts) ? texts[name] : undefined;
  return typeof text === 'string' ? text : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
