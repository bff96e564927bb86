import type { Format } from './format.ts';

/** JSON Lines: what is staged already. */
export const jsonl: Format = {
  suffix: '.jsonl',
  encode: (lines) => lines,
};
