import { isLedgerReady, LEDGER_DDL } from '../bulk/ledger.ts';
import type { Catalog } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteLiteral } from '../postgres/quote.ts';
import { SetupError } from '../runtime/errors.ts';
import { checkCatalog } from './check-catalog.ts';
import { describePublication, describeServer, describeSlot } from './describe-source.ts';
import { type Finding, showFinding } from './finding.ts';
import { planPublication } from './publication-plan.ts';

export interface SourceNames {
  readonly publication: string;
  /** The logical slot; left alone when absent. */
  readonly slot?: string;
}

export interface PreparationLimits {
  /** A writer queues behind a waiting ALTER TABLE, so waiting is kept short; trying again is cheap. */
  readonly lockTimeoutMs: number;
  /** A slot waits until every transaction that is open now has ended. */
  readonly slotTimeoutMs: number;
}

const DEFAULT_LIMITS: PreparationLimits = { lockTimeoutMs: 3_000, slotTimeoutMs: 30_000 };

/** Nothing here reads or rewrites rows, so a statement that has its locks is done in no time. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** Another process that prepares at the same moment can be first once or twice, not for ever. */
const MAX_ROUNDS = 3;
/** duplicate_object, and the unique_violation that two creations at the same instant end in. */
const ALREADY_THERE: readonly string[] = ['42710', '23505'];

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
): Promise<string[]> {
  const findings = await checkCatalog(db, catalog, { publication: names.publication });
  const blocking = findings.filter((finding) => !isPreparable(finding));
  if (blocking.length > 0) {
    throw new SetupError('the source can not be prepared yet', blocking.map(showFinding));
  }
  const identities = findings.filter(({ code }) => code === 'replica_identity').map(({ sql }) => sql ?? '');
  const publication = planPublication(
    names.publication,
    await describePublication(db, names.publication),
    catalog.resources.map(({ table }) => table),
  );
  const slot = names.slot === undefined ? [] : await planSlot(db, names.slot);
  const hasOperations = catalog.resources.some(({ operations }) => Object.keys(operations).length > 0);
  const ledger = hasOperations && !(await isLedgerReady(db)) ? LEDGER_DDL : [];
  return [...identities, ...publication, ...ledger, ...slot];
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
  limits: PreparationLimits = DEFAULT_LIMITS,
): Promise<string[]> {
  const done: string[] = [];
  for (let round = 1; ; round += 1) {
    const plan = await planPreparation(db, catalog, names);
    const failure = await runPlan(db, plan, limits, done);
    if (failure === undefined) return done;
    const wasOvertaken = ALREADY_THERE.includes(sqlState(failure.error) ?? '');
    if (!wasOvertaken || round === MAX_ROUNDS) throw toSetupError(failure.error, failure.remaining, limits);
  }
}

interface Failure {
  readonly error: unknown;
  readonly remaining: readonly string[];
}

async function runPlan(
  db: Queryable,
  plan: readonly string[],
  { lockTimeoutMs, slotTimeoutMs }: PreparationLimits,
  done: string[],
): Promise<Failure | undefined> {
  for (const [index, statement] of plan.entries()) {
    const isSlot = isSlotStatement(statement);
    try {
      // One message with several statements is one transaction on one connection, also through a pool.
      await db.query(
        `SET LOCAL lock_timeout = ${isSlot ? slotTimeoutMs : lockTimeoutMs}; ` +
          `SET LOCAL statement_timeout = ${isSlot ? slotTimeoutMs : STATEMENT_TIMEOUT_MS}; ${statement}`,
      );
      done.push(statement);
    } catch (error) {
      return { error, remaining: plan.slice(index) };
    }
  }
  return undefined;
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

function isPreparable({ code, sql }: Finding): boolean {
  return (code === 'replica_identity' || code === 'publication') && sql !== undefined;
}

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What an operator can do something about becomes a `SetupError` with the statements left; the rest stays as it is. */
function toSetupError(
  error: unknown,
  remaining: readonly string[],
  { lockTimeoutMs, slotTimeoutMs }: PreparationLimits,
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
    case '55P03':
    case '57014':
      return new SetupError(
        isSlot
          ? `no replication slot within ${slotTimeoutMs / 1000} s, because transactions that are open now have ` +
              'to end first: find them in pg_stat_activity (by xact_start) and pg_prepared_xacts, then run again'
          : `a table of the source stayed locked for ${lockTimeoutMs / 1000} s: run again at a quieter moment`,
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
