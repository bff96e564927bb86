import { type Resource, SHARED } from '../domain/catalog.ts';
import { type ResourceEntry, SHARED_WORD } from './catalog-schema.ts';
import type { Problem } from './check-names.ts';

/** One step of a path, as far as the catalog says it. */
interface Hop {
  readonly columns: readonly string[];
  /** The resource that the columns refer to, if the catalog names it. */
  readonly to: string | undefined;
}

/** For each resource with `via`, its columns and its parent. */
export type ParentNames = ReadonlyMap<
  string,
  { readonly columns: readonly string[]; readonly parent: string }
>;

/**
 * Finds the parent of each resource whose account is its parent's. The catalog names it with `to`, or with
 * `customers.customer_id`, or the column is called after it: `invoice_id` refers to the resource with the event `invoice`.
 * `checkAccountPaths` compares what is found here with the columns of the source.
 */
export function findParents(
  entries: ReadonlyMap<string, ResourceEntry>,
  names: readonly string[],
): { parents: ParentNames; problems: Problem[] } {
  const parents = new Map<string, { columns: readonly string[]; parent: string }>();
  const problems: Problem[] = [];
  for (const [name, { account }] of entries) {
    const report = (message: string) => problems.push({ path: ['resources', name, 'account'], message });
    if (typeof account === 'string') continue;
    const [hop] = hopsOf(account, names);
    if (hop === undefined) continue;
    const parent = parentOf(hop, entries);
    if (parent === undefined) {
      const column = hop.columns.join(', ');
      report(
        hop.to === undefined || names.includes(hop.to)
          ? `which resource ${column} refers to is not clear: say it, like {via: ${column}, to: ${names[0]}}`
          : `there is no resource ${hop.to}`,
      );
      continue;
    }
    if (entries.get(parent)?.account === SHARED_WORD) {
      report(`leads to ${parent}, which is everybody's`);
      continue;
    }
    parents.set(name, { columns: hop.columns, parent });
  }
  for (const [name, { account }] of entries) {
    const message =
      typeof account === 'string' ? undefined : checkPath(name, account, entries, names, parents);
    if (message !== undefined) problems.push({ path: ['resources', name, 'account'], message });
  }
  return { parents, problems };
}

type ViaRule = Exclude<ResourceEntry['account'], string>;

function hopsOf({ via, to }: ViaRule, names: readonly string[]): Hop[] {
  const hops = typeof via === 'string' ? [via] : via;
  return hops.map((hop, index) => {
    const given = index === 0 ? to : undefined;
    if (typeof hop !== 'string') return { columns: hop, to: given };
    const dot = hop.indexOf('.');
    const named = hop.slice(0, dot);
    return dot > 0 && given === undefined && names.includes(named)
      ? { columns: [hop.slice(dot + 1)], to: named }
      : { columns: [hop], to: given };
  });
}

function parentOf({ columns, to }: Hop, entries: ReadonlyMap<string, ResourceEntry>): string | undefined {
  if (to !== undefined) return entries.has(to) ? to : undefined;
  const [column, ...others] = columns;
  if (column === undefined || others.length > 0) return undefined;
  const stem = toSnake(column.replace(/(_id|Id|ID|_uuid|Uuid)$/, ''));
  const found = [...entries].filter(([name, { event }]) => event === stem || name === stem);
  return found.length === 1 ? found[0]?.[0] : undefined;
}

const toSnake = (name: string) => name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();

/** What is wrong with the path behind its first hop. */
function checkPath(
  name: string,
  account: ViaRule,
  entries: ReadonlyMap<string, ResourceEntry>,
  names: readonly string[],
  parents: ParentNames,
): string | undefined {
  const own = parents.get(name);
  if (own === undefined) return undefined;
  const parentKey = entries.get(own.parent)?.key ?? [];
  if (parentKey.length !== own.columns.length) {
    return `has ${count(own.columns.length)}, and the key of ${own.parent} (${parentKey.join(', ')}) has ${count(parentKey.length)}`;
  }
  const seen = [name];
  const hops = hopsOf(account, names);
  let at = own.parent;
  for (let depth = 1; ; depth += 1) {
    if (seen.includes(at))
      return `leads in a circle: ${[...seen, at].join(', ')}; end it at a resource with an account column`;
    seen.push(at);
    const hop = hops[depth];
    const next = parents.get(at);
    if (next === undefined) {
      const column = entries.get(at)?.account;
      // A path whose middle is wrong is reported there.
      if (typeof column !== 'string') return undefined;
      if (hops.length > 1 && hop !== undefined)
        return `continues behind ${at}, which has the account column ${column}`;
      return undefined;
    }
    if (depth > MAX_DEPTH) return `has more than ${MAX_DEPTH} hops`;
    if (hop !== undefined && hop.columns.join() !== next.columns.join()) {
      return `says that the account of ${at} is found by ${hop.columns.join(', ')}, and ${at} itself says ${next.columns.join(', ')}`;
    }
    at = next.parent;
  }
}

/** Each hop is a join of every statement. */
const MAX_DEPTH = 8;

const count = (columns: number) => `${columns} column${columns === 1 ? '' : 's'}`;

/** Gives each resource its account, with the parents themselves in place of their names. Without those whose path leads nowhere. */
export function linkParents(
  resources: readonly Omit<Resource, 'account'>[],
  entries: ReadonlyMap<string, ResourceEntry>,
  parents: ParentNames,
): Resource[] {
  const linked = new Map<string, Resource | undefined>();
  const link = (name: string): Resource | undefined => {
    if (linked.has(name)) return linked.get(name);
    // Ends a circle.
    linked.set(name, undefined);
    const plain = resources.find((each) => each.name === name);
    const account = entries.get(name)?.account;
    if (plain === undefined || account === undefined) return undefined;
    const named = parents.get(name);
    const parent = named && link(named.parent);
    const viaParent = named && parent && { columns: named.columns, parent };
    const own = account === SHARED_WORD ? SHARED : account;
    const rule = typeof own === 'string' || 'isShared' in own ? own : viaParent;
    const resource = rule === undefined ? undefined : { ...plain, account: rule };
    linked.set(name, resource);
    return resource;
  };
  return resources.flatMap(({ name }) => link(name) ?? []);
}
