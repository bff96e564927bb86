import type { Queryable } from '../../shared/postgres/queryable.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { OwnerShares } from './row-sql.ts';

export interface SampleOptions {
  /** Number of rows of the main resource. */
  readonly rows: number;
  /** The same rows, seed and shares give the same data, byte for byte. */
  readonly seed?: number;
  /** Number of accounts, named `acc_001`, `acc_002`, … */
  readonly accounts?: number;
  /** Part of the rows that is `acc_001`'s; from 0 to 1. */
  readonly mainAccountShare?: number;
}

export interface GeneratedSample {
  /** Rows by resource, the main one first. */
  readonly counts: Readonly<Record<string, number>>;
  /** The accounts' values of `account_id`; the first is the main one. */
  readonly accounts: readonly string[];
}

/** A product whose catalog, source schema and sample data come with Tandem. */
export interface SampleProduct {
  /** As in its catalog. */
  readonly name: string;
  /** Path of its catalog. */
  readonly catalog: string;
  readonly mainResource: string;
  /** Makes its schema, as it would be in production. Does nothing where it stands. */
  create(db: Queryable): Promise<void>;
  /**
   * Makes the schema and fills it with made-up but lifelike data, the same each time for the same options.
   *
   * @throws SetupError when an option is out of range, or there are rows already: existing data is never touched
   */
  generate(db: Queryable, options: SampleOptions): Promise<GeneratedSample>;
  /** Whether there are rows already, for which the schema must stand. */
  isFilled(db: Queryable): Promise<boolean>;
}

/** How many rows of what; the rest follows from the numbers of the rows. */
export interface SamplePlan extends OwnerShares {
  readonly seed: number;
  readonly rows: number;
  readonly children: number;
}

const MAX_ROWS = 100_000_000;
const MAX_ACCOUNTS = 999;

/**
 * Works out the counts.
 *
 * @param more what is wrong with a product's own options, to be told together with the rest
 * @throws SetupError for an option out of range
 */
export function planSample(
  { rows, seed = 1, accounts = 10, mainAccountShare = 0.9 }: SampleOptions,
  { rowsPerOwner, childrenPerRow }: { readonly rowsPerOwner: number; readonly childrenPerRow: number },
  more: readonly string[] = [],
): SamplePlan {
  const problems = [
    ...wholeNumber('rows', rows, 0, MAX_ROWS),
    ...wholeNumber('seed', seed, 0, 1_000_000_000),
    ...wholeNumber('accounts', accounts, 1, MAX_ACCOUNTS),
    ...between('mainAccountShare', mainAccountShare, 0, 1),
    ...more,
  ];
  if (problems.length > 0) throw new SetupError('the sample data cannot be created', problems);
  const owners = Math.max(accounts, Math.ceil(rows / rowsPerOwner));
  return {
    seed,
    accounts,
    owners,
    rows,
    children: Math.round(rows * childrenPerRow),
    ...shareOwners(owners, accounts, mainAccountShare),
  };
}

/** Every account has an owner at least, so that none is without one for its rows. */
function shareOwners(
  owners: number,
  accounts: number,
  mainAccountShare: number,
): Pick<OwnerShares, 'mainOwners' | 'mainSharePpm'> {
  const others = accounts - 1;
  if (others === 0) return { mainOwners: owners, mainSharePpm: 1_000_000 };
  return {
    mainOwners: Math.min(owners - others, Math.max(1, Math.round(owners * mainAccountShare))),
    mainSharePpm: Math.round(mainAccountShare * 1_000_000),
  };
}

/** `acc_001` and on. */
export function accountNames(accounts: number): string[] {
  return Array.from({ length: accounts }, (_, index) => `acc_${String(index + 1).padStart(3, '0')}`);
}

function wholeNumber(name: string, value: number, min: number, max: number): string[] {
  const isRight = Number.isInteger(value) && value >= min && value <= max;
  return isRight ? [] : [`${name} must be a whole number from ${min} to ${max}, not ${value}`];
}

export function between(name: string, value: number, min: number, max: number): string[] {
  return value >= min && value <= max ? [] : [`${name} must be a number from ${min} to ${max}, not ${value}`];
}
