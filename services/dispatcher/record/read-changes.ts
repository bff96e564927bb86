import type { IHeaders } from 'kafkajs';
import { type ChainLink, readChainLink, readChangeAccount } from '../../../shared/protocol/headers.ts';
import type { ReadChange } from './backlog.ts';
import { classifyLink } from './recorded-chain.ts';

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
        const verdict = classifyLink(last, found);
        isAfterGap = verdict === 'gap';
        if (verdict !== 'repeat') {
          link = found;
          last = found;
        }
      }
      changes.push({ offset, value, account: readChangeAccount(headers), link, isAfterGap });
    }
    return changes;
  };
}
