import { quoteLiteral } from '../../shared/postgres/quote.ts';

/** SQL for a number from 0 to `choices` - 1 that depends on the row's number (SQL, by default `i`) and the salt alone. */
export type PickNumber<Salt extends string> = (salt: Salt, choices: number, number?: string) => string;

const SALTS_PER_TABLE = 100;
const TABLES_PER_SEED = 10;

/**
 * Every value is a hash of the row's number and a salt, so that the columns do not follow one another. The hash is one
 * that PostgreSQL also partitions by, so the same rows come out on every server.
 *
 * @param table number of the table, from 1
 */
export function createPick<Salt extends string>(
  salts: readonly Salt[],
  seed: number,
  table: number,
): PickNumber<Salt> {
  return (salt, choices, number = 'i') => {
    const hashSeed = (seed * TABLES_PER_SEED + table) * SALTS_PER_TABLE + salts.indexOf(salt);
    return `((hashint8extended(${number}, ${hashSeed}) & 1152921504606846975) % ${choices})`;
  };
}

/** SQL for one of the texts. */
export function oneOf(texts: readonly string[], zeroBased: string): string {
  return `(ARRAY[${texts.map(quoteLiteral).join(', ')}])[1 + ${zeroBased}]`;
}

/** How many of the first owners are the main account's. The others take turns. */
export interface OwnerShares {
  readonly accounts: number;
  readonly owners: number;
  readonly mainOwners: number;
  /** The number of rows in 1,000,000 that are the main account's. */
  readonly mainSharePpm: number;
}

/** SQL for the number of the owner that a row belongs to. */
export function ownerOf(
  { owners, mainOwners, mainSharePpm }: OwnerShares,
  pick: PickNumber<'accountShare' | 'owner'>,
): string {
  const others = owners - mainOwners;
  const main = `1 + ${pick('owner', mainOwners)}`;
  if (others === 0) return main;
  return `CASE WHEN ${pick('accountShare', 1_000_000)} < ${mainSharePpm} THEN ${main}
    ELSE ${mainOwners} + 1 + ${pick('owner', others)} END`;
}

/** SQL for the account of the owner with that number. */
export function accountOf(
  { accounts, mainOwners }: Pick<OwnerShares, 'accounts' | 'mainOwners'>,
  owner: string,
): string {
  if (accounts === 1) return "'acc_001'";
  const other = `2 + (${owner} - ${mainOwners} - 1) % ${accounts - 1}`;
  return `'acc_' || lpad((CASE WHEN ${owner} <= ${mainOwners} THEN 1 ELSE ${other} END)::text, 3, '0')`;
}

/**
 * SQL for the row that a child with the number `i` belongs to, and for its place there from 0. Children are dealt out
 * evenly and in order, so that the number says both. `row` names the row's number in `place`.
 */
export function dealOut(children: number, rows: number): { row: string; place: (row: string) => string } {
  return {
    row: `1 + (i - 1) * ${rows} / ${children}`,
    place: (row) => `i - 1 - ((${row} - 1) * ${children} + ${rows} - 1) / ${rows}`,
  };
}
