import { KafkaError } from '../kafka-client.ts';

/** What the package's errors have in common; those of Node and of ours have none of it. */
interface LibraryError extends Error {
  readonly apiId?: string;
  readonly canRetry?: boolean;
  readonly serverErrorMessage?: string | null;
  readonly errors?: readonly LibraryError[];
}

const MAX_DEPTH = 8;

/** The error, and all that it is made of, outermost first. */
function partsOf(error: unknown, depth = 0): LibraryError[] {
  if (!(error instanceof Error) || depth > MAX_DEPTH) return [];
  const { errors = [], cause } = error as LibraryError;
  return [error, ...[...errors, cause].flatMap((part) => partsOf(part, depth + 1))];
}

/** The protocol's name for what a broker says: the last one, since earlier ones were tried again. */
export function typeOf(error: unknown): string | undefined {
  const types = partsOf(error).flatMap(({ apiId }) => apiId ?? []);
  if (types.length > 0) return types.at(-1);
  return /^Unknown topic /.test(error instanceof Error ? error.message : '')
    ? 'UNKNOWN_TOPIC_OR_PARTITION'
    : undefined;
}

/** What the same request may meet with success later. */
export function mayPass(error: unknown): boolean {
  const type = typeOf(error);
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'REBALANCE_IN_PROGRESS') return true;
  return partsOf(error).every(({ canRetry }) => canRetry !== false);
}

/** The innermost reasons say what happened; the outer messages only count tries. */
export function toKafkaError(error: unknown): Error {
  if (error instanceof KafkaError) return error;
  const parts = partsOf(error);
  const last = parts.at(-1);
  const said = last?.serverErrorMessage ?? last?.message;
  const message = parts.length > 1 && said ? `${(error as Error).message} ${said}` : String(said);
  return new KafkaError(message, { type: typeOf(error), cause: error });
}

/** Runs the package's call, with errors as the interface has them. */
export async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toKafkaError(error);
  }
}
