import { MAX_RESOURCES } from '../../../shared/catalog/catalog-schema.ts';
import { showTable } from '../../../shared/catalog/parse-table-name.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import type { TableAccount } from './account-of-table.ts';

/** A table that is no resource of the draft, and why. */
export interface LeftOut {
  readonly table: TableName;
  readonly reason: LeftOutReason;
  /** What is to be said of this table alone. */
  readonly detail: string | undefined;
}

/** In the order in which they are told: first those that little is missing of. */
const REASONS = {
  unsure:
    'A column may say whose a row is, or something else. If it does, name it: --account with the columns in order of preference.',
  no_key:
    'They have no primary key, and no other unique key of columns that are never null and hold no secret. Each works with one.',
  via:
    'Their account is that of another table, which is no resource, or whose key they do not refer to. ' +
    'Each works once that table does, with its key as the column refers to it, or with an account column of its own.',
  several:
    'They refer to records of several kinds, by a type and an ID, and no type in their rows is called after a resource. ' +
    'Each works with the resource of each type: account: { via: subject_id, by: subject_type, to: { Invoice: invoices } }.',
  nobody:
    'No column leads to an account. Lists that every customer may have, as of currencies, work with account: shared; ' +
    'others work with an account column of their own.',
  storage: 'Their changes are not in the WAL.',
  too_many: `A catalog has ${MAX_RESOURCES} resources at most.`,
} as const;

export type LeftOutReason = keyof typeof REASONS;

/** What the account of a table that has no column for it comes to. */
export function leftOutBy(table: TableName, account: Exclude<TableAccount, { kind: 'column' }>): LeftOut {
  switch (account.kind) {
    case 'via': {
      const steps = account.steps.map(({ columns, to }) => `${to.name} by ${columns.join(', ')}`);
      return { table, reason: 'via', detail: `its account is that of ${steps.join(', and of that one ')}` };
    }
    case 'unsure':
      return { table, reason: 'unsure', detail: account.why };
    case 'several':
      return {
        table,
        reason: 'several',
        detail: `by ${account.columns.type.name} and ${account.columns.id.name}`,
      };
    case 'nobody':
      return { table, reason: 'nobody', detail: undefined };
  }
}

/** The groups as lines of plain text: a heading, then its tables, those of which there is nothing more to say in one line. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  return Object.entries(REASONS).flatMap(([reason, heading]) => {
    const group = leftOut.filter((one) => one.reason === reason);
    if (group.length === 0) return [];
    const plain = group.filter(({ detail }) => detail === undefined).map(({ table }) => showTable(table));
    return [
      heading,
      ...group.flatMap(({ table, detail }) =>
        detail === undefined ? [] : [`  ${showTable(table)}: ${detail}`],
      ),
      ...(plain.length === 0 ? [] : [`  ${plain.join(', ')}`]),
    ];
  });
}
