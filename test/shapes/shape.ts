/**
 * A product's schema, described by what matters here: which table refers to which, and whose its rows are. The text of a shape has a
 * line for each table: `recipient: envelope ?folder ~user`. An entry is the table that it belongs to (`?`: may be null), or only
 * refers to (`~`). `*post|page` refers to one of several by a type and an ID. `@` is the table of the accounts, `=` everybody's, and
 * `-` nobody's. A name with a dot has a schema of its own: `audit.entry: organisation`.
 */
export interface Shape {
  readonly name: string;
  readonly style: ShapeStyle;
  /** Columns that the operator has to name for `catalog init`; empty where it finds them. */
  readonly accountColumns: readonly string[];
  /** Parents before their children. */
  readonly tables: readonly ShapeTable[];
}

export interface ShapeStyle {
  readonly hasForeignKeys: boolean;
  readonly idType: 'bigint' | 'uuid' | 'text';
  readonly tableName: (word: string) => string;
  readonly columnName: (word: string) => string;
  readonly schemaName: (word: string) => string;
}

export interface ShapeTable {
  readonly word: string;
  readonly schema: string;
  readonly belongs: 'root' | 'column' | 'parent' | 'several' | 'everybody' | 'nobody';
  readonly references: readonly ShapeReference[];
  /** The tables that a type and an ID may refer to. */
  readonly several: readonly string[];
}

export interface ShapeReference {
  readonly to: string;
  /** The column without its `_id`. */
  readonly word: string;
  readonly isOwner: boolean;
  readonly isNullable: boolean;
}

export function parseShape(
  name: string,
  style: ShapeStyle,
  text: string,
  accountColumns: readonly string[] = [],
): Shape {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const root = lines.find((line) => line.endsWith(': @'))?.replace(/^.*\.|: @$/g, '');
  if (root === undefined) throw new Error(`the shape ${name} has no accounts`);
  const tables = lines.map((line) => parseTable(line, name, root));
  for (const [place, table] of tables.entries()) {
    const known = new Set(tables.slice(0, place + 1).map(({ word }) => word));
    const unknown = [...table.references.map(({ to }) => to), ...table.several].filter(
      (to) => !known.has(to),
    );
    if (unknown.length > 0) throw new Error(`${name}.${table.word} comes before ${unknown.join(', ')}`);
  }
  return { name, style, accountColumns, tables };
}

function parseTable(line: string, shape: string, root: string): ShapeTable {
  const [, schema = shape, word = '', rest = ''] = /^(?:(\w+)\.)?(\w+): (.+)$/.exec(line) ?? [];
  if (word === '') throw new Error(`not a table of the shape ${shape}: ${line}`);
  const entries = rest.split(' ');
  const several =
    entries
      .find((entry) => entry.startsWith('*'))
      ?.slice(1)
      .split('|') ?? [];
  const references = entries
    .filter((entry) => !/^[@=*-]/.test(entry))
    .map((entry): ShapeReference => {
      const to = entry.replace(/^[?~]/, '');
      const isSelf = to === word;
      return {
        to,
        word: isSelf ? `parent_${to}` : to,
        isOwner: !entry.startsWith('~'),
        isNullable: !/^\w/.test(entry),
      };
    });
  const owners = references.filter(({ isOwner }) => isOwner);
  const belongs =
    rest === '@'
      ? 'root'
      : entries.includes('=')
        ? 'everybody'
        : entries.includes('-')
          ? 'nobody'
          : owners.some(({ to }) => to === root)
            ? 'column'
            : owners.length > 0
              ? 'parent'
              : 'several';
  return { word, schema, belongs, references, several };
}

/** The reference by which a table's rows belong to an account; none for the accounts, for several parents, and for nobody's. */
export function ownerOf({ tables }: Shape, { belongs, references }: ShapeTable): ShapeReference | undefined {
  if (belongs !== 'column' && belongs !== 'parent') return undefined;
  const root = tables.find((table) => table.belongs === 'root')?.word;
  const owners = references.filter(({ isOwner }) => isOwner);
  return owners.find(({ to }) => to === root) ?? owners[0];
}

/** Tables whose rows belong to customers: what a customer of the product expects in an export. */
export function customersTables({ tables }: Shape): readonly ShapeTable[] {
  return tables.filter(({ belongs }) => belongs !== 'everybody' && belongs !== 'nobody');
}

export function findTableOf({ tables }: Shape, word: string): ShapeTable {
  const found = tables.find((table) => table.word === word);
  if (found === undefined) throw new Error(`no table ${word}`);
  return found;
}
