import { ownerColumns, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { recordId } from '../../../shared/domain/record-ref.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { referenceOf, referenceText } from '../../../shared/values/reference-text.ts';
import type { ValueTypes } from '../changes/captured-table.ts';
import type { RowMessage } from '../changes/row-changes.ts';
import type { RelationMessage, Tuple } from '../replication/pgoutput.ts';

/** A record's owner by one version of its row. */
export interface RecordOwner {
  readonly key: string;
  /** The account's text as PostgreSQL prints it, or the `recordId` of the parent; null without an owner. */
  readonly owner: string | null;
}

/** Reads owners from the messages of one table. */
export interface RouteReader {
  readonly resource: Resource;
  /** The old versions include key and owner. Otherwise every update and delete may have changed either. */
  readonly isIdentitySufficient: boolean;
  /** A version is undefined if the message does not have it, or if it equals the other one. */
  read(message: RowMessage): {
    readonly before?: RecordOwner | undefined;
    readonly after?: RecordOwner | undefined;
  };
}

/** Whether the old rows of a table or a partition include the resource's key and owner. */
export function saysOwners(resource: Resource, { columns }: Pick<RelationMessage, 'columns'>): boolean {
  return [...resource.key, ...ownerColumns(resource)].every(
    (name) => columns.find((column) => column.name === name)?.isInIdentity === true,
  );
}

/**
 * Whether the old version of a row may lack its owner. A partition with a smaller identity than its root sends no old
 * version, or one that looks like the root's and is empty except for the key.
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

/** @throws SetupError when the table has lost a column that a path uses */
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
    // A value stored out of line and not sent again did not change.
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
          // Without an old version, PostgreSQL guarantees that the identity did not change.
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
