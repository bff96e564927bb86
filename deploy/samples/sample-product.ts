import type { Queryable } from '../../shared/postgres/queryable.ts';

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
