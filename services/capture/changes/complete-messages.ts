import type { Catalog } from '../../../shared/domain/catalog.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { PgOutputMessage } from '../source/pgoutput.ts';
import { RESET_PREFIX, readIdentities } from '../source/table-identities.ts';
import type { AccountSpellings } from './account-spellings.ts';
import { fillUnchanged, lacksValues, type UpdateMessage } from './fill-unchanged.ts';
import { describeForReset, type ResetTable, type ResetTableDeps } from './reset-table.ts';
import { type RowMessage, unknownAccounts } from './row-changes.ts';
import type { Tables } from './tables.ts';

/** The few messages that say too little by themselves, and need the source or the registry to be asked first. */
export interface MessageCompleter {
  isIncomplete(message: PgOutputMessage): boolean;
  /**
   * Learns tables and the accounts of their rows, gets ready for resets, and fills in values that were not sent.
   *
   * @returns the message to go on with
   */
  complete(message: PgOutputMessage): Promise<PgOutputMessage>;
  /** For a resource whose reset was completed; undefined when its table is gone again. */
  resetTable(resource: string): ResetTable | undefined;
}

export interface MessageCompleterDeps extends Omit<ResetTableDeps, 'catalogName'> {
  readonly catalog: Catalog;
  readonly tables: Tables;
  readonly spellings: AccountSpellings;
}

export function createMessageCompleter({
  catalog,
  tables,
  spellings,
  ...deps
}: MessageCompleterDeps): MessageCompleter {
  const resetTables = new Map<string, ResetTable>();
  const resourceOf = (name: string) => catalog.resources.find((each) => each.name === name);

  const describeReset = async (name: string) => {
    const resource = resourceOf(name);
    if (resource === undefined) return;
    try {
      resetTables.set(name, await describeForReset(resource, { ...deps, catalogName: catalog.name }));
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      resetTables.delete(name);
    }
  };

  const fill = async (message: UpdateMessage): Promise<UpdateMessage> => {
    const table = tables.find(message.relationId);
    if (table === undefined) return message;
    const resource = resourceOf(table.shape.resource);
    return resource === undefined ? message : fillUnchanged(deps.source, resource, table, message);
  };

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
          return message.isTransactional && message.prefix === RESET_PREFIX;
        case 'update':
          return lacksValues(message) || accountsToLearn(message).length > 0;
        case 'insert':
        case 'delete':
          return accountsToLearn(message).length > 0;
        default:
          return false;
      }
    },
    async complete(message) {
      switch (message.kind) {
        case 'relation':
          await tables.learn(message);
          return message;
        case 'message':
          for (const name of readIdentities(message.content).keys()) await describeReset(name);
          return message;
        case 'insert':
        case 'update':
        case 'delete': {
          const whole = message.kind === 'update' && lacksValues(message) ? await fill(message) : message;
          const accounts = accountsToLearn(whole);
          if (accounts.length > 0) await spellings.learn(accounts);
          return whole;
        }
        default:
          return message;
      }
    },
    resetTable: (resource) => resetTables.get(resource),
  };
}
