import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import type { Finding, FindingCode } from '../../../shared/catalog/finding.ts';
import { findRefused, sortFindings } from '../../../shared/catalog/refused-resources.ts';
import { type Catalog, findResource, withAncestors } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { SourceFacts } from './source-facts.ts';

/** Why a resource can't be exported or changed now, without details of the source. */
export interface Unfitness {
  readonly code: FindingCode;
  readonly detail: string;
}

/** The resources that the extractor refuses, so that a request for one is refused before it becomes a job. */
export interface UnfitResources {
  /**
   * Returns those of the resources that do not fit their tables. If the source does not respond none is added, because
   * the job checks as well.
   */
  among(names: readonly string[]): Promise<ReadonlyMap<string, Unfitness>>;
  /**
   * @param pointerOf where the request names the resource
   * @throws AppError `conflict` with each resource that does not fit
   */
  requireFit(names: readonly string[], pointerOf: (name: string) => string): Promise<void>;
}

/** How long the whole catalog counts as checked. A request after that starts the next check and does not wait for it. */
const CHECKED_MS = 30_000;

/** Resources per check, so that each query is faster than the api's timeout even on a busy machine. */
const RESOURCES_PER_CHECK = 25;

/** Texts for customers. Other findings, such as a path to the account, concern only the operator. */
const DETAILS: Readonly<Partial<Record<FindingCode, string>>> = {
  missing_table: 'its table does not exist',
  not_a_table: 'it is not a table whose changes the database records',
  not_logged: 'the database does not record the changes of its table',
  missing_right: 'its table may not be read',
  missing_column: 'its table lacks a column',
  generated_column: 'a column that it needs is computed by the database, which does not record it',
  wrong_type: 'a column that it needs has another type',
  no_key: 'its records have no unique key',
  account_type: 'the accounts of its records are ambiguous',
  account_path: 'the accounts of its records are ambiguous',
};
const OTHERWISE = 'its table does not fit the catalog';

/** Row security concerns the API's role alone: the extractor may have another one. */
const counts = ({ code }: Finding) => code !== 'row_security';

export function createUnfitResources(
  catalog: Catalog,
  { source, now }: { source: Pick<SourceFacts, 'read'>; now: () => number },
): UnfitResources {
  let known: ReadonlyMap<string, Unfitness> = new Map();
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let checking: Promise<void> | undefined;

  async function check(): Promise<void> {
    try {
      const findings = await source.read('the tables of the catalog', (db) => checkAll(db, catalog));
      const { refused } = sortFindings(catalog, findings);
      // With no fitting resource left the extractor does not start. That is a fault of the set-up, not of one table.
      known = refused.size < catalog.resources.length ? describeAll(refused) : new Map();
    } catch (error) {
      if (!isAway(error)) throw error;
    } finally {
      // Also after a failure: the source is not queried for a while, and requests use the last known state.
      checkedAtMs = now();
    }
  }

  async function checkSometimes(): Promise<void> {
    if (now() - checkedAtMs < CHECKED_MS) return;
    const isFirst = checkedAtMs === Number.NEGATIVE_INFINITY;
    checking ??= check().finally(() => {
      checking = undefined;
    });
    if (isFirst) await checking;
    else checking.catch(() => undefined);
  }

  /** Checks again those that did not fit, so that a corrected one is accepted at once. */
  async function recheck(suspects: readonly string[]): Promise<void> {
    const resources = suspects.flatMap((name) => findResource(catalog, name) ?? []);
    try {
      const still = await source.read('the tables of the resources', (db) =>
        findRefused(db, catalog, resources, counts),
      );
      const mended = suspects.filter((name) => !still.has(name));
      known = new Map([...known].filter(([name]) => !mended.includes(name)));
    } catch (error) {
      if (!isAway(error)) throw error;
    }
  }

  async function among(names: readonly string[]): Promise<ReadonlyMap<string, Unfitness>> {
    await checkSometimes();
    const suspects = names.filter((name) => known.has(name));
    if (suspects.length > 0) await recheck(suspects);
    return new Map([...known].filter(([name]) => names.includes(name)));
  }

  return {
    among,
    async requireFit(names, pointerOf) {
      const found = await among(names);
      if (found.size === 0) return;
      const unfit = names.flatMap((name) => {
        const why = found.get(name);
        return why === undefined ? [] : ([[name, why]] as const);
      });
      throw new AppError(
        'conflict',
        'A table does not fit the catalog: leave its resource out, and ask the operator, to whom `tandem catalog check` says what to do.',
        {
          errors: unfit.map(([name, { code, detail }]) => ({
            pointer: pointerOf(name),
            detail: `${name} cannot be exported or changed: ${detail} (${code})`,
          })),
        },
      );
    },
  };
}

async function checkAll(db: Queryable, catalog: Catalog): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (let start = 0; start < catalog.resources.length; start += RESOURCES_PER_CHECK) {
    const part = catalog.resources.slice(start, start + RESOURCES_PER_CHECK);
    findings.push(...(await checkCatalog(db, { ...catalog, resources: withAncestors(part) })));
  }
  return findings.filter(counts);
}

function describeAll(refused: ReadonlyMap<string, { readonly code: FindingCode }>): Map<string, Unfitness> {
  return new Map(
    [...refused].map(([name, { code }]) => [name, { code, detail: DETAILS[code] ?? OTHERWISE }]),
  );
}

const isAway = (error: unknown) => error instanceof AppError && error.code === 'unavailable';
