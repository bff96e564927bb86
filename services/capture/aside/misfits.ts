import { SetupError } from '../../../shared/runtime/errors.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';

/** A table does not fit the catalog, and may fit again soon. The feed waits for that. */
export class TableMisfitError extends Error {
  override readonly name = 'TableMisfitError';

  constructor(resource: string, cause: unknown) {
    super(`the table of ${resource} no longer fits the catalog`, { cause });
  }
}

/**
 * The accounts of a resource's records are unknown, because a table on the path to the account does not fit. Waiting
 * does not help.
 */
export class PathBrokenError extends SetupError {}

/** When each resource's table stopped fitting. Kept for the life of the process. */
export type MisfitTimes = Map<string, number>;

export interface Misfit {
  readonly resource: string;
  readonly relation: RelationMessage;
  /** The fault and its remedy. */
  readonly detail: string;
}

/** Streamed tables that do not fit the catalog, by relation. */
export interface Misfits {
  /**
   * @param isKnown the resource is already set aside, so there is no wait
   * @throws TableMisfitError within the first `graceMs`; the error itself when it is not about the table
   */
  record(resource: string, relation: RelationMessage, error: unknown, isKnown: boolean): void;
  /** The table fits again. */
  forget(resource: string, relationId: number): void;
  detailOf(resource: string): string | undefined;
  relationsOf(resource: string): RelationMessage[];
}

export interface MisfitDeps {
  readonly since: MisfitTimes;
  readonly graceMs: number;
  readonly now: () => number;
}

/**
 * A migration and its catalog rarely arrive at the same moment. So the session first ends, which frees the slot: a
 * newer capture with the newer catalog may take over and miss nothing. The resource is set aside only after `graceMs`.
 */
export function createMisfits({ since, graceMs, now }: MisfitDeps): Misfits {
  const misfits = new Map<number, Misfit>();
  return {
    record(resource, relation, error, isKnown) {
      if (!isAboutTheTable(error)) throw error;
      const firstAtMs = since.get(resource) ?? now();
      since.set(resource, firstAtMs);
      if (!isKnown && now() - firstAtMs < graceMs) throw new TableMisfitError(resource, error);
      misfits.set(relation.id, { resource, relation, detail: error.message });
    },
    forget(resource, relationId) {
      misfits.delete(relationId);
      since.delete(resource);
    },
    detailOf: (resource) => [...misfits.values()].find((misfit) => misfit.resource === resource)?.detail,
    relationsOf: (resource) =>
      [...misfits.values()].filter((misfit) => misfit.resource === resource).map(({ relation }) => relation),
  };
}

/** The registry's status for an invalid schema; a retry does not help. */
const SCHEMA_REFUSED = 422;

function isAboutTheTable(error: unknown): error is Error {
  if (error instanceof SetupError) return true;
  for (let link = error, depth = 0; link instanceof Error && depth < 8; link = link.cause, depth += 1) {
    if (link.name === 'ResponseError' && (link as { status?: unknown }).status === SCHEMA_REFUSED)
      return true;
  }
  return false;
}
