import { randomBytes } from 'node:crypto';
import { CHAIN_HEADER, formatChainLink } from '../../../shared/protocol/headers.ts';
import type { ChangeMessage } from '../changes/change-messages.ts';

/** How far each partition's changes are counted; see `ChainLink`. */
export interface ChainState {
  readonly id: string;
  /** By partition, the last number given out; one that is not there has none yet. */
  readonly seqs: readonly number[];
}

export interface ChangeChain {
  /** The changes with their numbers. Each change is to be linked once, in the order in which they are sent. */
  link(changes: readonly ChangeMessage[]): ChangeMessage[];
  /** To be published in the same transaction. */
  state(): ChainState;
}

/** Goes on with a chain whose state was stored, so that a batch that was not committed has its numbers given out again. */
export function createChangeChain(stored: ChainState | undefined, nowMs: number): ChangeChain {
  const chain = stored?.id ?? `${nowMs.toString(36).padStart(9, '0')}${randomBytes(3).toString('hex')}`;
  const seqs = [...(stored?.seqs ?? [])];
  return {
    link: (changes) =>
      changes.map((change) => {
        const seq = (seqs[change.partition] ?? 0) + 1;
        seqs[change.partition] = seq;
        return { ...change, headers: { ...change.headers, [CHAIN_HEADER]: formatChainLink({ chain, seq }) } };
      }),
    state: () => ({ id: chain, seqs: Array.from(seqs, (seq) => seq ?? 0) }),
  };
}
