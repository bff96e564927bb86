import type { QueryConfig } from 'pg';
import type { Statement } from './select-items.ts';

/** Statements of different operations and filters whose plans each connection keeps: more than a product has in use. */
const MAX_KEPT_PLANS = 100;

const names = new Map<string, string>();

/**
 * Lets the connection keep the statement's plan. The text is the same for every chunk of a job, and to plan it takes as long as
 * some tens of items.
 */
export function keepPlan({ text, values }: Statement): QueryConfig {
  const known = names.get(text) ?? (names.size < MAX_KEPT_PLANS ? `bulk_items_${names.size}` : undefined);
  if (known === undefined) return { text, values: [...values] };
  names.set(text, known);
  return { name: known, text, values: [...values] };
}
