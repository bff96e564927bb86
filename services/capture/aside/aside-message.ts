import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';

/** `resume`: the resource is mended. `remind`: it is not, and exports since the last reminder have to learn it. */
export type AsideNews = 'resume' | 'remind';

export interface AsideMessage {
  readonly resource: string;
  readonly news: AsideNews;
}

export async function sendAsideMessage(db: Queryable, { resource, news }: AsideMessage): Promise<void> {
  const content = JSON.stringify({ resource, news });
  await db.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.aside, content]);
}

/** @returns undefined for an invalid message, which anyone who may write to the database can send */
export function readAsideMessage(content: string): AsideMessage | undefined {
  try {
    const { resource, news } = JSON.parse(content) as { resource?: unknown; news?: unknown };
    if (typeof resource !== 'string' || (news !== 'resume' && news !== 'remind')) return undefined;
    return { resource, news };
  } catch {
    return undefined;
  }
}
