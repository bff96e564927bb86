import { SetupError } from '../../../shared/runtime/errors.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';

/** A table does not fit the catalog, and may do so again in a moment: as long as that is hoped for, the feed waits. */
export class TableMisfitError extends Error {
  override readonly name = 'TableMisfitError';

  constructor(resource: string, cause: unknown) {
    super(`the table of ${resource} no longer fits the catalog`, { cause });
  }
}

/** Since when each resource's table does not fit; kept as long as the process lives. */
export type MisfitTimes = Map<string, number>;

export interface Misfit {
  readonly resource: string;
  readonly relation: RelationMessage;
  /** What is wrong and what mends it. */
  readonly detail: string;
}

/** Tables that came by and do not fit the catalog, by relation. */
export interface Misfits {
  /**
   * @param isKnown the resource is set aside already, so nothing is waited for
   * @throws TableMisfitError within the first `graceMs`; the error itself when it is not about the table
   */
  record(resource: string, relation: RelationMessage, error: unknown, isKnown: boolean): void;
  /** The table fits. */
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
 * A migration and the catalog that goes with it seldom arrive in the same moment. So at first the session ends, which lets go of
 * the slot: a newer capture, with the newer catalog, may take over and miss nothing. Only then is the resource set aside.
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

/** The registry's answer to a schema that it takes for wrong, whatever is tried again. */
const SCHEMA_REFUSED = 422;

function isAboutTheTable(error: unknown): error is Error {
  if (error instanceof SetupError) return true;
  for (let link = error, depth = 0; link instanceof Error && depth < 8; link = link.cause, depth += 1) {
    if (link.name === 'ResponseError' && (link as { status?: unknown }).status === SCHEMA_REFUSED)
      return true;
  }
  return false;
}
