import type { Catalog } from '../../../shared/domain/catalog.ts';
import { readAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type Misfits, PathBrokenError } from '../aside/misfits.ts';
import { readAsideMessage, type SetAside, type SetAsides } from '../aside/set-asides.ts';
import type { PgOutputMessage, RelationMessage } from '../replication/pgoutput.ts';
import { readResets } from '../replication/reset-message.ts';
import type { AccountSpellings } from './captured-table.ts';
import { fillUnchanged, lacksValues, type UpdateMessage } from './fill-unchanged.ts';
import type { KnownColumns } from './fit-relation.ts';
import { type RowMessage, unknownAccounts } from './row-changes.ts';
import {
  describeForReset,
  describeWithoutColumns,
  type ResetTable,
  type ResetTableDeps,
  type Tables,
} from './tables.ts';

/** Completes the few messages that need a query to the source or the registry first. */
export interface MessageCompleter {
  isIncomplete(message: PgOutputMessage): boolean;
  /**
   * Learns tables and the accounts of their rows, prepares resets, and fills in values that were not sent.
   *
   * @param xid of the message's transaction; undefined outside of one
   * @returns the message to continue with
   */
  complete(message: PgOutputMessage, xid: bigint | undefined): Promise<PgOutputMessage>;
  /** Prepares a reset of the resource. */
  prepareReset(resource: string): Promise<void>;
  /** The table of a resource whose reset is prepared; undefined for a resource that is not in the catalog. */
  resetTable(resource: string): ResetTable | undefined;
  /** Whether a resource that was set aside was found corrected when the message about it was completed. */
  isMended(resource: string): boolean;
  /** Why a resource is refused, as found when the message about it was completed; undefined for one that fits. */
  refusalOf(resource: string): string | undefined;
}

const COMPLETED_PREFIXES: ReadonlySet<string> = new Set([
  WAL_MESSAGES.reset,
  WAL_MESSAGES.aside,
  WAL_MESSAGES.account,
]);

export interface MessageCompleterDeps extends Omit<ResetTableDeps, 'catalogName'> {
  readonly catalog: Catalog;
  readonly tables: Tables;
  readonly setAsides: Pick<SetAsides, 'find'>;
  readonly misfits: Misfits;
  readonly knownColumns: KnownColumns;
  /** Why a resource has to stay set aside; undefined when it need not. */
  readonly findUnmended: (aside: SetAside) => Promise<string | undefined>;
  /** Why the resource can't be sent; undefined when it can. */
  readonly findUnfit: (resource: string) => Promise<string | undefined>;
  readonly spellings: AccountSpellings;
  /** Waits briefly for a streamed transaction to become visible. @throws when the session has ended */
  readonly awaitVisible: () => Promise<void>;
}

export function createMessageCompleter({
  catalog,
  tables,
  setAsides,
  misfits,
  spellings,
  ...deps
}: MessageCompleterDeps): MessageCompleter {
  const resetTables = new Map<string, ResetTable>();
  const mended = new Set<string>();
  const refusals = new Map<string, string>();
  const resourceOf = (name: string) => catalog.resources.find((each) => each.name === name);

  const describeReset = async (name: string) => {
    const resource = resourceOf(name);
    if (resource === undefined) return;
    const named = { ...deps, catalogName: catalog.name };
    try {
      resetTables.set(name, await describeForReset(resource, named));
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      resetTables.set(name, await describeWithoutColumns(resource, named));
    }
  };

  /** Includes only columns that were published before, because a hidden one may have another name now. */
  const describeAside = async (name: string) => {
    const resource = resourceOf(name);
    if (resource === undefined) return;
    const named = { ...deps, catalogName: catalog.name };
    try {
      const known = deps.knownColumns.get(name) ?? new Set();
      resetTables.set(name, await describeForReset(resource, named, known));
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      resetTables.set(name, await describeWithoutColumns(resource, named));
    }
  };

  const learn = async (relation: RelationMessage) => {
    try {
      await tables.learn(relation);
    } catch (error) {
      const resource = tables.resourceOf(relation.id);
      if (resource === undefined) throw error;
      const isKnown = setAsides.find(resource) !== undefined || error instanceof PathBrokenError;
      misfits.record(resource, relation, error, isKnown);
      await describeAside(resource);
      return;
    }
    const resource = tables.resourceOf(relation.id);
    if (resource !== undefined) misfits.forget(resource, relation.id);
  };

  /** Checked again, because anybody who may write to the database can send such a message. */
  const refuse = async (name: string) => {
    const detail = await deps.findUnfit(name);
    if (detail === undefined || resourceOf(name) === undefined) {
      refusals.delete(name);
      return;
    }
    refusals.set(name, detail);
    await describeAside(name);
  };

  const completeAside = async (content: string) => {
    const said = readAsideMessage(content);
    if (said === undefined) return;
    const aside = setAsides.find(said.resource);
    if (said.news === 'refuse' && aside === undefined) await refuse(said.resource);
    if (aside === undefined) return;
    mended.delete(said.resource);
    await describeAside(said.resource);
    // Checked again, because anybody who may write to the database can send such a message, and it may be old.
    if (said.news !== 'resume' || (await deps.findUnmended(aside)) !== undefined) return;
    mended.add(said.resource);
    await describeReset(said.resource);
    for (const relation of misfits.relationsOf(said.resource)) await learn(relation);
  };

  const fill = async (message: UpdateMessage, xid: bigint | undefined): Promise<UpdateMessage> => {
    const table = tables.find(message.relationId);
    if (table === undefined || xid === undefined) return message;
    const resource = resourceOf(table.rowType.resource);
    return resource === undefined || setAsides.find(resource.name) !== undefined
      ? message
      : fillUnchanged(resource, table, message, { source: deps.source, xid, pause: deps.awaitVisible });
  };

  const isLacking = (message: UpdateMessage): boolean =>
    lacksValues(message, tables.find(message.relationId)?.unknownDeletedPlace);

  const accountsToLearn = (message: RowMessage): readonly string[] => {
    const table = tables.find(message.relationId);
    return table === undefined ? [] : unknownAccounts(table, message);
  };

  return {
    isIncomplete(message) {
      switch (message.kind) {
        case 'relation':
          return true;
        case 'message':
          return message.isTransactional && COMPLETED_PREFIXES.has(message.prefix);
        case 'update':
          return isLacking(message) || accountsToLearn(message).length > 0;
        case 'insert':
        case 'delete':
          return accountsToLearn(message).length > 0;
        default:
          return false;
      }
    },
    async complete(message, xid) {
      switch (message.kind) {
        case 'relation':
          await learn(message);
          return message;
        case 'message':
          if (message.prefix === WAL_MESSAGES.aside) await completeAside(message.content);
          else if (message.prefix === WAL_MESSAGES.account)
            for (const name of readAccountReset(message.content)?.resources ?? []) await describeAside(name);
          else for (const { resource } of readResets(message.content)) await describeAside(resource);
          return message;
        case 'insert':
        case 'update':
        case 'delete': {
          const whole = message.kind === 'update' && isLacking(message) ? await fill(message, xid) : message;
          const accounts = accountsToLearn(whole);
          if (accounts.length > 0) await spellings.learn(accounts);
          return whole;
        }
        default:
          return message;
      }
    },
    prepareReset: describeAside,
    isMended: (resource) => mended.has(resource),
    refusalOf: (resource) => refusals.get(resource),
    resetTable: (resource) => resetTables.get(resource),
  };
}
