import { type ParentAccount, type Resource, SHARED } from '../domain/catalog.ts';
import { type ResourceEntry, SHARED_WORD } from './catalog-schema.ts';
import type { Problem } from './check-names.ts';

/** One step of a path, as far as the catalog says it. */
interface Hop {
  readonly columns: readonly string[];
  /** The resource that the columns refer to, if the catalog names it. */
  readonly to: string | undefined;
}

/** For each resource with `via`, its columns and its parents. */
export type ParentNames = ReadonlyMap<string, NamedParents>;

interface NamedParents {
  readonly columns: readonly string[];
  readonly typeColumn?: string;
  readonly parents: readonly { readonly type?: string; readonly name: string }[];
}

/**
 * Finds the parent of each resource whose account is its parent's. The catalog names it with `to`, or with
 * `customers.customer_id`, or the column is called after it: `invoice_id` refers to the resource with the event `invoice`. With `by`, `to`
 * names the parent of each type. `checkAccountPaths` compares what is found here with the columns of the source.
 */
export function findParents(
  entries: ReadonlyMap<string, ResourceEntry>,
  names: readonly string[],
): { parents: ParentNames; problems: Problem[] } {
  const parents = new Map<string, NamedParents>();
  const problems: Problem[] = [];
  for (const [name, { account }] of entries) {
    if (typeof account === 'string') continue;
    const found = namedParents(account, entries, names);
    const toShared = found.parents.find((parent) => entries.get(parent.name)?.account === SHARED_WORD);
    const message = found.problem ?? (toShared && `leads to ${toShared.name}, which is everybody's`);
    if (message === undefined) parents.set(name, found);
    else problems.push({ path: ['resources', name, 'account'], message });
  }
  for (const [name, { account }] of entries) {
    const message =
      typeof account === 'string' ? undefined : checkPath(name, account, entries, names, parents);
    if (message !== undefined) problems.push({ path: ['resources', name, 'account'], message });
  }
  return { parents, problems };
}

function namedParents(
  account: ViaRule,
  entries: ReadonlyMap<string, ResourceEntry>,
  names: readonly string[],
): NamedParents & { readonly problem?: string } {
  const [hop = { columns: [], to: undefined }] = hopsOf(account, names);
  const { columns } = hop;
  if (account.by !== undefined && typeof account.to === 'object') {
    const parents = Object.entries(account.to).map(([type, name]) => ({ type, name }));
    const unknown = parents.find((parent) => !entries.has(parent.name));
    const named = { columns, typeColumn: account.by, parents };
    return unknown === undefined ? named : { ...named, problem: `there is no resource ${unknown.name}` };
  }
  const parent = parentOf(hop, entries);
  if (parent !== undefined) return { columns, parents: [{ name: parent }] };
  const list = columns.join(', ');
  const problem =
    hop.to === undefined || names.includes(hop.to)
      ? `which resource ${list} refers to is not clear: say it, like {via: ${list}, to: ${names[0]}}`
      : `there is no resource ${hop.to}`;
  return { columns, parents: [], problem };
}

type ViaRule = Exclude<ResourceEntry['account'], string>;

function hopsOf({ via, to }: ViaRule, names: readonly string[]): Hop[] {
  const hops = typeof via === 'string' ? [via] : via;
  return hops.map((hop, index) => {
    const given = index === 0 && typeof to === 'string' ? to : undefined;
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

/** What is wrong with the paths behind their first hop. */
function checkPath(
  name: string,
  account: ViaRule,
  entries: ReadonlyMap<string, ResourceEntry>,
  names: readonly string[],
  parents: ParentNames,
): string | undefined {
  const own = parents.get(name);
  const hops = hopsOf(account, names);
  let ways = 0;
  const follow = (at: string, seen: readonly string[]): string | undefined => {
    if (seen.includes(at))
      return `leads in a circle: ${[...seen, at].join(', ')}; end it at a resource with an account column`;
    const depth = seen.length;
    const hop = hops[depth];
    const next = parents.get(at);
    if (next === undefined) {
      ways += 1;
      if (ways > MAX_WAYS) return `leads over more than ${MAX_WAYS} ways to account columns`;
      const column = entries.get(at)?.account;
      // A path whose middle is wrong is reported there.
      return typeof column === 'string' && hops.length > 1 && hop !== undefined
        ? `continues behind ${at}, which has the account column ${column}`
        : undefined;
    }
    if (depth > MAX_DEPTH) return `has more than ${MAX_DEPTH} hops`;
    if (hop !== undefined && hop.columns.join() !== next.columns.join()) {
      return `says that the account of ${at} is found by ${hop.columns.join(', ')}, and ${at} itself says ${next.columns.join(', ')}`;
    }
    return firstOf(next.parents, (parent) => follow(parent.name, [...seen, at]));
  };
  return firstOf(own?.parents ?? [], (parent) => {
    const { length } = own?.columns ?? [];
    const parentKey = entries.get(parent.name)?.key ?? [];
    return parentKey.length === length
      ? follow(parent.name, [name])
      : `has ${count(length)}, and the key of ${parent.name} (${parentKey.join(', ')}) has ${count(parentKey.length)}`;
  });
}

function firstOf<T>(all: readonly T[], problemOf: (each: T) => string | undefined): string | undefined {
  for (const each of all) {
    const problem = problemOf(each);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Each hop is a join of every statement. */
const MAX_DEPTH = 8;
const MAX_WAYS = 100;

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
    const own = account === SHARED_WORD ? SHARED : account;
    const rule = typeof own === 'string' || 'isShared' in own ? own : linkAll(parents.get(name));
    const resource = rule === undefined ? undefined : { ...plain, account: rule };
    linked.set(name, resource);
    return resource;
  };
  const linkAll = (named: NamedParents | undefined): ParentAccount | undefined => {
    if (named === undefined) return undefined;
    const found = named.parents.flatMap((parent) => {
      const resource = link(parent.name);
      return resource === undefined
        ? []
        : [parent.type === undefined ? { resource } : { type: parent.type, resource }];
    });
    if (found.length < named.parents.length) return undefined;
    const { columns, typeColumn } = named;
    return typeColumn === undefined ? { columns, parents: found } : { columns, typeColumn, parents: found };
  };
  return resources.flatMap(({ name }) => link(name) ?? []);
}
