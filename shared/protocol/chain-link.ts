import type { IHeaders } from 'kafkajs';

/** Header of a change: the chain that it is a link of, and which one. */
export const CHAIN_HEADER = 'chain';

/**
 * Which record of its partition a change is, counted by capture from 1. Offsets can't tell: a topic that was deleted and made
 * again, truncated, or restored from older data, gives its offsets to other records. A reader that finds the next number
 * has lost nothing, whatever happened in between. Capture begins another chain when its own state is lost.
 */
export interface ChainLink {
  /** Greater, as a text, than that of every earlier chain. */
  readonly chain: string;
  readonly seq: number;
}

export function formatChainLink({ chain, seq }: ChainLink): string {
  return `${chain}:${seq}`;
}

/** Undefined for a change that an earlier version wrote. */
export function readChainLink(headers: IHeaders | undefined): ChainLink | undefined {
  const [, chain, seq] = /^([0-9a-z]+):([0-9]{1,15})$/.exec(String(headers?.[CHAIN_HEADER] ?? '')) ?? [];
  return chain === undefined ? undefined : { chain, seq: Number(seq) };
}
