import { apiName, type ResourceEntry, SHARED_WORD } from './catalog-schema.ts';
import { checkFieldNames, type FieldProblem } from './check-fields.ts';
import { parseTableName } from './parse-table-name.ts';

/** Something wrong with the catalog itself. `path` leads to the field in the file. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** First parts of the event types that Tandem itself sends: `feed.reset`, `webhook.disabled`. */
const OWN_EVENTS: readonly string[] = ['feed', 'webhook'];

/**
 * What one field alone can't tell: names that must exist, be told apart, or not be hidden.
 * `names` are all resources of the file, also those that `entries` leaves out because their form is wrong.
 */
export function checkNames(names: readonly string[], entries: ReadonlyMap<string, ResourceEntry>): Problem[] {
  const problems: Problem[] = [];
  const report = (path: readonly PropertyKey[], message: string) => {
    problems.push({ path: ['resources', ...path], message });
  };
  for (const name of names) {
    const result = apiName.safeParse(name);
    if (!result.success) report([name], `the resource's name ${result.error.issues[0]?.message}`);
  }
  const ownerOfEvent = new Map<string, string>();
  const ownerOfTable = new Map<string, string>();
  for (const [name, entry] of entries) {
    for (const [field, text] of checkEntry(name, entry, names)) report([name, ...field], text);
    const table = parseTableName(entry.table);
    const tableId = table === undefined ? entry.table : JSON.stringify([table.schema, table.name]);
    claim(ownerOfEvent, entry.event, name, (owner) =>
      report([name, 'event'], `is the event of ${owner} too`),
    );
    claim(ownerOfTable, tableId, name, (owner) => report([name, 'table'], `is the table of ${owner} too`));
  }
  return problems;
}

function claim(
  owners: Map<string, string>,
  what: string,
  name: string,
  onTaken: (owner: string) => void,
): void {
  const owner = owners.get(what);
  if (owner === undefined) owners.set(what, name);
  else onTaken(owner);
}

function* checkEntry(name: string, entry: ResourceEntry, names: readonly string[]): Generator<FieldProblem> {
  if (parseTableName(entry.table) === undefined) {
    yield [['table'], 'must be a table with its schema, like public.invoices (odd names in double quotes)'];
  }
  if (OWN_EVENTS.includes(entry.event)) {
    yield [['event'], `${entry.event} is the name of Tandem's own events: choose another`];
  }
  for (const field of ['key', 'expose', 'hide', 'related'] as const) {
    const values = entry[field] ?? [];
    for (const [index, value] of values.entries()) {
      if (values.indexOf(value) !== index) yield [[field, index], `${value} is named twice`];
    }
  }
  yield* checkLeaving(entry);
  yield* checkFieldNames(entry);
  for (const [index, related] of entry.related.entries()) {
    if (related === name) yield [['related', index], `${related} is the resource itself`];
    else if (!names.includes(related)) yield [['related', index], `there is no resource ${related}`];
  }
  if (entry.account === SHARED_WORD && Object.keys(entry.operations).length > 0) {
    yield [['operations'], "change records that are everybody's: no customer may, so leave them out"];
  }
  yield* checkOperations(entry);
}

/** Key, account, soft_delete and range columns always leave: files, events and filters are made of them. */
function* checkLeaving(entry: ResourceEntry): Generator<FieldProblem> {
  const used = new Map<string, string>([
    ...entry.key.map((column) => [column, 'key'] as const),
    ...ownColumns(entry).map((column) => [column, 'account'] as const),
    ...(entry.soft_delete === undefined ? [] : [[entry.soft_delete, 'soft_delete'] as const]),
    ...(entry.range === undefined ? [] : [[entry.range, 'range'] as const]),
  ]);
  for (const [index, column] of entry.hide.entries()) {
    const use = used.get(column);
    if (use !== undefined) yield [['hide', index], `${column} can't be hidden: it is the ${use} column`];
  }
  const { expose } = entry;
  if (expose === undefined) return;
  if (entry.hide.length > 0) {
    yield [['hide'], 'is of no use beside expose, which lists the columns that leave: keep one of the two'];
  }
  for (const [column, use] of used) {
    if (!expose.includes(column)) yield [['expose'], `must have ${column} in it: it is the ${use} column`];
  }
}

/** The record's own columns that say whose it is. Those of a path's further hops are the parents'. */
function ownColumns({ account }: ResourceEntry): readonly string[] {
  if (account === SHARED_WORD) return [];
  if (typeof account === 'string') return [account];
  const hop = typeof account.via === 'string' ? account.via : account.via[0];
  const columns = typeof hop === 'string' ? [hop.slice(hop.indexOf('.') + 1)] : (hop ?? []);
  return account.by === undefined ? columns : [account.by, ...columns];
}

function* checkOperations(entry: ResourceEntry): Generator<FieldProblem> {
  for (const [name, operation] of Object.entries(entry.operations)) {
    if (operation.soft === true && entry.soft_delete === undefined) {
      yield [['operations', name, 'soft'], 'needs soft_delete, the column that a soft delete sets'];
    }
    const written = [
      ...Object.keys(operation.set ?? {}).map((column) => ({ column, path: ['set', column] as const })),
      ...(operation.set_from_params ?? []).map((column, i) => ({
        column,
        path: ['set_from_params', i] as const,
      })),
    ];
    for (const { column, path } of written) {
      // A record that changed its key or its account would vanish for one reader and appear for another.
      if (entry.key.includes(column) || ownColumns(entry).includes(column)) {
        yield [['operations', name, ...path], `${column} is the key or the account column and can't be set`];
      }
    }
  }
}
