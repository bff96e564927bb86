import { ownerColumns, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { recordId } from '../../../shared/domain/record-ref.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { referenceOf, referenceText } from '../../../shared/values/reference-text.ts';
import type { ValueTypes } from '../changes/captured-table.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { RelationMessage, Tuple } from '../replication/pgoutput.ts';

/** A record as a version of its row says it. */
export interface RecordOwner {
  readonly key: string;
  /** The account's text as PostgreSQL prints it, or the `recordId` of the parent; null for nobody's. */
  readonly owner: string | null;
}

/** What the messages of one table say of whose its records are. */
export interface RouteReader {
  readonly resource: Resource;
  /** The old versions carry key and owner; else every update and delete may have changed either. */
  readonly isIdentitySufficient: boolean;
  /** Undefined where the message does not have that version, or it says the same as the other one. */
  read(message: RowMessage): {
    readonly before?: RecordOwner | undefined;
    readonly after?: RecordOwner | undefined;
  };
}

/** Whether the old rows of a table or of a partition carry the resource's key and owner. */
export function saysOwners(resource: Resource, { columns }: Pick<RelationMessage, 'columns'>): boolean {
  return [...resource.key, ...ownerColumns(resource)].every(
    (name) => columns.find((column) => column.name === name)?.isInIdentity === true,
  );
}

/**
 * Whether the old version of a row may lack its owner. From a partition whose identity is less than its root's comes none, or one that
 * claims to be the root's, and is empty but for its key.
 */
export function isOwnerUnsaid(
  resource: Resource,
  { columns }: RelationMessage,
  message: RowMessage,
): boolean {
  if (message.kind === 'insert') return false;
  const { before } = message;
  return ownerColumns(resource).every(
    (name) => before?.values[columns.findIndex((column) => column.name === name)] == null,
  );
}

/** @throws SetupError when the table has lost a column that paths lead over */
export function createRouteReader(
  resource: Resource,
  relation: RelationMessage,
  types: ValueTypes,
): RouteReader {
  const columnOf = (name: string) => {
    const place = relation.columns.findIndex((column) => column.name === name);
    const column = relation.columns[place];
    if (column === undefined) {
      throw new SetupError(
        `${relation.schema}.${relation.name} has no column ${name} any more, by which other resources have their account: ` +
          'adapt the catalog to the table, or the table to the catalog',
      );
    }
    const { pgName } = types.valueType(column.typeOid, column.typeModifier);
    return { place, pgName };
  };
  const key = resource.key.map(columnOf);
  const parent = parentOf(resource);
  const owner = ownerColumns(resource).map(columnOf);
  const isIdentitySufficient = saysOwners(resource, relation);

  const versionOf = (tuple: Tuple, other: Tuple | undefined): RecordOwner | undefined => {
    // What is stored apart and was not sent again is as it was.
    const textOf = ({ place }: { place: number }) =>
      tuple[place] ?? (tuple[place] === null ? null : (other?.[place] ?? null));
    const keyText = referenceText(
      key.map(textOf),
      key.map(({ pgName }) => pgName),
    );
    if (keyText === null) return undefined;
    const texts = owner.map(textOf);
    if (parent === undefined) return { key: keyText, owner: texts[0] ?? null };
    const names = owner.map(({ pgName }) => pgName);
    const reference = referenceOf(parent, texts, names);
    return { key: keyText, owner: reference === undefined ? null : recordId(reference) };
  };

  return {
    resource,
    isIdentitySufficient,
    read(message) {
      switch (message.kind) {
        case 'insert':
          return { after: versionOf(message.after, undefined) };
        case 'delete':
          return { before: versionOf(message.before.values, undefined) };
        case 'update': {
          // Without an old version PostgreSQL says that the identity did not change.
          if (message.before === null) {
            return isIdentitySufficient ? {} : { after: versionOf(message.after, undefined) };
          }
          const before = versionOf(message.before.values, undefined);
          const after = versionOf(message.after, message.before.values);
          return before?.key === after?.key && before?.owner === after?.owner && isIdentitySufficient
            ? {}
            : { before, after };
        }
      }
    },
  };
}
