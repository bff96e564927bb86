import type { z } from 'zod';

/** A stored request that this version cannot read. */
export class UnreadableRequestError extends Error {
  override readonly name = 'UnreadableRequestError';
}

/** @throws UnreadableRequestError */
export function readStored<T>(schema: z.ZodType<T>, stored: unknown): T {
  const { success, data, error } = schema.safeParse(stored);
  if (success) return data;
  throw new UnreadableRequestError('this version cannot read the stored request', { cause: error });
}
