import { isLedgerReady, LEDGER_DDL } from '../../shared/bulk/ledger.ts';
import { checkCatalog } from '../../shared/catalog/check-catalog.ts';
import { describePublication, describeServer, describeSlot } from '../../shared/catalog/describe-source.ts';
import { showFinding } from '../../shared/catalog/finding.ts';
import { planPublication, publishes } from '../../shared/catalog/publication-plan.ts';
import { sortFindings, withoutRefused } from '../../shared/catalog/refused-resources.ts';
import type { IdentityWish } from '../../shared/catalog/replica-identity.ts';
import { tryPlannedIdentities, tryWrites, type WriteTrials } from '../../shared/catalog/try-writes.ts';
import type { Catalog, TableName } from '../../shared/domain/catalog.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import { quoteLiteral, quoteTable } from '../../shared/postgres/quote.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { sleep } from '../../shared/runtime/sleep.ts';

export interface SourceNames {
  readonly publication: string;
  /** The logical slot; left alone when absent. */
  readonly slot?: string;
}

export interface PreparationLimits {
  /** The product queues behind a waiting ALTER TABLE, so waiting is kept short; trying again is cheap. */
  readonly lockTimeoutMs: number;
  readonly lockTries: number;
  /** A slot waits until every transaction that is open now has ended. */
  readonly slotTimeoutMs: number;
}

/** Below PostgreSQL's deadlock_timeout, as all our waits for locks. */
const DEFAULT_LIMITS: PreparationLimits = { lockTimeoutMs: 500, lockTries: 20, slotTimeoutMs: 30_000 };

/** Those who queued behind us have their turn. */
const LOCK_PAUSE_MS = 500;

/** Nothing here reads or rewrites rows, so a statement that has its locks is done in no time. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** Another process that prepares at the same moment can be first once or twice, not for ever. */
const MAX_ROUNDS = 3;
/** duplicate_object, duplicate_table, and the unique_violation that two creations at the same instant end in. */
const ALREADY_THERE: readonly string[] = ['42710', '42P07', '23505'];

const LOCK_NOT_AVAILABLE = '55P03';

export interface PreparationOptions {
  readonly identity?: IdentityWish;
  readonly limits?: Partial<PreparationLimits>;
  /** Called before a statement that may take as long as the table is large. */
  readonly onLongStatement?: (statement: string) => void;
  /**
   * Called for each resource that can't be exact as its table is, with what is wrong and what to do; the others are prepared. Without
   * it, such a resource ends the preparation before it changes anything.
   */
  readonly onRefused?: (line: string) => void;
}

/** What a preparation comes to. */
export interface Preparation {
  /** In the order in which they must run. */
  readonly statements: readonly string[];
  /** What no statement of ours puts right, and has to be before: lines that say what to do. */
  readonly blocking: readonly string[];
  /** The same by resource; the statements are for the others. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * The statements that the source still needs, in the order in which they must run; none when it is prepared.
 * 1. Replica identities, before the publication: in a publication, a table without one refuses its UPDATEs.
 * 2. The publication, before the slot: decoding fails on WAL written before its publication was there.
 * 3. The ledger of bulk operations, where the catalog has any.
 * 4. The slot.
 * @throws SetupError listing what no preparation puts right, such as a missing column or a server setting
 */
export async function planPreparation(
  db: Queryable,
  catalog: Catalog,
  names: SourceNames,
  identity: IdentityWish = 'auto',
): Promise<string[]> {
  const plan = await reviewPreparation(db, catalog, names, identity);
  assertPreparable(catalog, plan, false);
  return [...plan.statements];
}

/** @throws SetupError when something is in the way of all resources, or of one where none may be left out */
function assertPreparable(catalog: Catalog, { blocking, refused }: Preparation, mayRefuse: boolean): void {
  const isAnyLeft = refused.size < catalog.resources.length;
  const inTheWay = mayRefuse && isAnyLeft ? blocking : [...blocking, ...refused.values()];
  if (inTheWay.length > 0) throw new SetupError('the source cannot be prepared yet', inTheWay);
}

/**
 * The same, also where something is in the way that has to be put right first, for someone else to look at and run.
 * @throws SetupError when a slot of that name is there and can't be the feed's
 */
export async function reviewPreparation(
  db: Queryable,
  catalog: Catalog,
  names: SourceNames,
  identity: IdentityWish,
): Promise<Preparation> {
  const findings = await checkCatalog(db, catalog, { publication: names.publication, identity });
  const { ofSource, preparable, refused } = sortFindings(catalog, findings);
  const identities = preparable.flatMap(({ code, steps }) =>
    code === 'replica_identity' ? (steps ?? []) : [],
  );
  const current = await describePublication(db, names.publication);
  // A table that is published stays so: its resource may be set aside for a while only.
  const published = catalog.resources.filter(
    ({ name, table }) => !refused.has(name) || (current !== undefined && publishes(current, table)),
  );
  const publication =
    published.length === 0
      ? []
      : planPublication(
          names.publication,
          current,
          published.map(({ table }) => table),
        );
  const slot = names.slot === undefined ? [] : await planSlot(db, names.slot);
  // A new slot waits for the transactions that are open.
  const added =
    slot.length > 0 || current === undefined
      ? []
      : published.flatMap(({ table }) => (publishes(current, table) ? [] : [table]));
  const hasOperations = catalog.resources.some(({ operations }) => Object.keys(operations).length > 0);
  const ledger = hasOperations && !(await isLedgerReady(db)) ? LEDGER_DDL : [];
  return {
    statements: [...identities, ...withoutWriters(publication, added), ...ledger, ...slot],
    blocking: ofSource.map(showFinding),
    refused: new Map([...refused].map(([name, { text }]) => [name, text])),
  };
}

/**
 * A change made before its table is published is never in the feed, even if its transaction commits later, which an
 * export's snapshot may then not see. So tables are added while nobody has a transaction open that writes to them.
 */
function withoutWriters(publication: readonly string[], added: readonly TableName[]): string[] {
  if (added.length === 0 || publication.length === 0) return [...publication];
  const lock = `LOCK TABLE ${added.map(quoteTable).join(', ')} IN SHARE MODE`;
  return [`DO ${quoteLiteral(`BEGIN ${[lock, ...publication].join('; ')}; END`)}`];
}

/**
 * Runs what `planPreparation` says, each statement in its own transaction, so that a failure or a crash leaves the
 * ones before it in place and a second call goes on from there. Returns the statements that were run.
 * @throws SetupError with the statements still to be run when the role may not, or a lock or a slot can't be had
 */
export async function prepareSource(
  db: Queryable,
  catalog: Catalog,
  names: SourceNames,
  { identity = 'auto', limits: given, onLongStatement, onRefused }: PreparationOptions = {},
): Promise<string[]> {
  const limits = { ...DEFAULT_LIMITS, ...given };
  const done: string[] = [];
  for (let round = 1; ; round += 1) {
    const review = await reviewPreparation(db, catalog, names, identity);
    assertPreparable(catalog, review, onRefused !== undefined);
    const plan = review.statements;
    const prepared = withoutRefused(catalog, review.refused);
    if (plan.length > 0) assertWritable(await tryPlannedIdentities(db, prepared, identity), NOT_DONE);
    const failure = await runPlan(db, plan, limits, done, onLongStatement);
    if (failure === undefined) {
      assertWritable(await tryWrites(db, prepared), DONE_WRONG);
      for (const line of review.refused.values()) onRefused?.(line);
      return done;
    }
    const wasOvertaken = ALREADY_THERE.includes(sqlState(failure.error) ?? '');
    if (!wasOvertaken || round === MAX_ROUNDS) throw toSetupError(failure.error, failure.remaining, limits);
  }
}

const NOT_DONE = "the product's own writes would be refused in a publication, so nothing was changed";
const DONE_WRONG =
  "the product's own writes are refused: take the table out of the catalog and prepare again, which takes it out of the publication";

function assertWritable({ refused }: WriteTrials, message: string): void {
  if (refused.length > 0) throw new SetupError(message, refused);
}

interface Failure {
  readonly error: unknown;
  readonly remaining: readonly string[];
}

async function runPlan(
  db: Queryable,
  plan: readonly string[],
  limits: PreparationLimits,
  done: string[],
  onLongStatement: PreparationOptions['onLongStatement'],
): Promise<Failure | undefined> {
  for (const [index, statement] of plan.entries()) {
    try {
      if (isConcurrent(statement)) {
        onLongStatement?.(statement);
        await runConcurrently(db, statement);
      } else await runStatement(db, statement, limits);
      done.push(statement);
    } catch (error) {
      return { error, remaining: plan.slice(index) };
    }
  }
  return undefined;
}

/**
 * In no transaction. Readers and writers do not wait for it, and it waits for every transaction that is open, which a
 * session's limit for locks would end.
 */
async function runConcurrently(db: Queryable, statement: string): Promise<void> {
  await db.query('SET lock_timeout = 0');
  try {
    await db.query(statement);
  } finally {
    await db.query('RESET lock_timeout').catch(() => undefined);
  }
}

/** Tries for a lock again and again, rather than to wait for it with the product's statements behind us. */
async function runStatement(
  db: Queryable,
  statement: string,
  { lockTimeoutMs, lockTries, slotTimeoutMs }: PreparationLimits,
): Promise<void> {
  const isSlot = isSlotStatement(statement);
  for (let attempt = 1; ; attempt += 1) {
    try {
      // One message with several statements is one transaction on one connection, also through a pool.
      await db.query(
        `SET LOCAL lock_timeout = ${isSlot ? slotTimeoutMs : lockTimeoutMs}; ` +
          `SET LOCAL statement_timeout = ${isSlot ? slotTimeoutMs : STATEMENT_TIMEOUT_MS}; ${statement}`,
      );
      return;
    } catch (error) {
      if (isSlot || attempt >= lockTries || sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
      await sleep(LOCK_PAUSE_MS);
    }
  }
}

/** @throws SetupError when the slot is there but can't be the feed's */
async function planSlot(db: Queryable, name: string): Promise<string[]> {
  const slot = await describeSlot(db, name);
  if (slot === undefined) return [`${CREATE_SLOT}(${quoteLiteral(name)}, 'pgoutput')`];
  const { database } = await describeServer(db);
  const fault = slotFault(slot, database);
  if (fault !== undefined) {
    throw new SetupError(`the replication slot ${name} ${fault}`, [
      `choose another slot name, or drop it: SELECT pg_drop_replication_slot(${quoteLiteral(name)});`,
    ]);
  }
  return [];
}

function slotFault(
  slot: NonNullable<Awaited<ReturnType<typeof describeSlot>>>,
  database: string,
): string | undefined {
  if (slot.plugin !== 'pgoutput') return `is of the plugin ${slot.plugin}, not pgoutput`;
  if (slot.database !== database) return `belongs to the database ${slot.database}, not to ${database}`;
  if (slot.isTemporary) return 'is temporary and would be gone with its session';
  if (slot.walStatus === 'lost') {
    return 'has lost its WAL: the feed has a gap, and every subscriber needs a new export after it is made again';
  }
  return undefined;
}

const CREATE_SLOT = 'SELECT pg_create_logical_replication_slot';

function isSlotStatement(statement: string): boolean {
  return statement.startsWith(CREATE_SLOT);
}

function isConcurrent(statement: string): boolean {
  return /^(?:CREATE UNIQUE|DROP) INDEX CONCURRENTLY /.test(statement);
}

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What an operator can do something about becomes a `SetupError` with the statements left; the rest stays as it is. */
function toSetupError(
  error: unknown,
  remaining: readonly string[],
  { lockTimeoutMs, lockTries, slotTimeoutMs }: PreparationLimits,
): Error {
  const statements = remaining.map((statement) => `${statement};`);
  const isSlot = remaining[0] !== undefined && isSlotStatement(remaining[0]);
  switch (sqlState(error)) {
    case '42501':
      return new SetupError(
        "the source needs preparation that this role may not do: run this as the tables' owner with CREATE on the " +
          'database and REPLICATION (or as a superuser)',
        statements,
      );
    case LOCK_NOT_AVAILABLE:
    case '57014':
      return new SetupError(
        isSlot
          ? `no replication slot within ${slotTimeoutMs / 1000} s, because transactions that are open now have ` +
              'to end first: find them in pg_stat_activity (by xact_start) and pg_prepared_xacts, then run again'
          : `a table of the source stayed locked (${lockTries} attempts of ${lockTimeoutMs / 1000} s): find the transactions ` +
              'that have it locked in pg_locks, and run again once they have ended',
        statements,
      );
    case '53400':
      return new SetupError(
        'all replication slots are in use: raise max_replication_slots and restart the server',
        [...statements],
      );
    default:
      return new Error(`preparing the source: ${remaining[0]}`, { cause: error });
  }
}
