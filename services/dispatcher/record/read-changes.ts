import type { IHeaders } from 'kafkajs';
import { type ChainLink, readChainLink } from '../../../shared/kafka/chain-link.ts';
import type { ReadChange } from './backlog.ts';
import { judgeLink } from './recorded-chain.ts';

export interface ChangeMessage {
  readonly offset: string;
  readonly value: Buffer | null;
  readonly headers?: IHeaders;
}

/** Reads messages of one partition, in their order, for as long as nobody else reads it. */
export type ReadChanges = (messages: readonly ChangeMessage[]) => Promise<ReadChange[]>;

/**
 * Tells by capture's count what was recorded before and where records are missing.
 *
 * @param lastRecorded how far the partition is recorded, asked before the first counted message
 */
export function createReadChanges(lastRecorded: () => Promise<ChainLink | null>): ReadChanges {
  let last: ChainLink | null | undefined;
  return async (messages) => {
    const changes: ReadChange[] = [];
    for (const { offset, value, headers } of messages) {
      if (value === null) continue;
      const found = readChainLink(headers);
      let isAfterGap = false;
      let link: ChainLink | undefined;
      if (found !== undefined) {
        last ??= await lastRecorded();
        const verdict = judgeLink(last, found);
        isAfterGap = verdict === 'gap';
        if (verdict !== 'repeat') {
          link = found;
          last = found;
        }
      }
      changes.push({ offset, value, account: accountOf(headers), link, isAfterGap });
    }
    return changes;
  };
}

/** What earlier versions wrote without headers may concern all accounts, for all that is known before it is decoded. */
function accountOf(headers: IHeaders | undefined): string | undefined {
  if (headers?.account === undefined || headers.op === undefined) return undefined;
  return String(headers.op) === 'truncate' ? undefined : String(headers.account);
}
