import type { PathField } from './public-field.ts';

/** A filter as clients write it: `{status: {eq: 'open'}, or: [{total: {gt: 5}}, {memo: {is_null: true}}]}`. */
export type FilterInput = Readonly<Record<string, unknown>>;

const COMPARISONS = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte'] as const;
export type Comparison = (typeof COMPARISONS)[number];

/** A filter whose form is right; whether its columns exist and its values fit is the table's to say. */
export type FilterNode =
  | { readonly kind: 'group'; readonly by: 'and' | 'or'; readonly nodes: readonly FilterNode[] }
  | (Operand & { readonly kind: 'compare'; readonly by: Comparison; readonly value: FilterValue })
  | (Operand & { readonly kind: 'in'; readonly values: readonly FilterValue[] })
  | (Operand & { readonly kind: 'is_null'; readonly isNull: boolean })
  | (Operand & { readonly kind: 'prefix'; readonly prefix: string });

/** What a condition is on. */
interface Operand {
  readonly column: string;
  /** A member of the column's JSON in place of the column's own value. */
  readonly member?: Pick<PathField, 'path' | 'type'>;
  readonly pointer: string;
}

export interface FilterValue {
  readonly text: string;
  /** What it is in the JSON of the request. */
  readonly kind: 'text' | 'number' | 'boolean';
  /** JSON pointer of the value in the request. */
  readonly pointer: string;
}

/** The columns, or public names, that a filter's conditions are on. */
export function namesInFilter(node: FilterNode): string[] {
  return node.kind === 'group' ? node.nodes.flatMap(namesInFilter) : [node.column];
}

/** Something wrong with a filter, and where. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
  readonly pointer: string;

  constructor(pointer: string, detail: string) {
    super(detail);
    this.pointer = pointer;
  }
}

/** Nesting and size are bounded, because the filter becomes one SQL statement. */
export const MAX_FILTER_DEPTH = 5;
export const MAX_CONDITIONS = 100;

/** In all lists of a filter together: as many as a request may name by their IDs. They are one parameter each list. */
export const MAX_IN_VALUES = 10_000;

const OPERATORS = [...COMPARISONS, 'in', 'is_null', 'prefix'].join(', ');

/**
 * Reads a filter; several fields, and several operators of one field, must all hold.
 *
 * @throws FilterError
 */
export function parseFilter(input: FilterInput, pointer = '/filter'): FilterNode {
  let left = MAX_CONDITIONS;
  let listed = 0;
  // Groups count too: they may be empty.
  const count = (at: string) => {
    left -= 1;
    if (left < 0) throw new FilterError(at, `a filter may have at most ${MAX_CONDITIONS} conditions`);
  };

  function group(value: unknown, at: string, depth: number): FilterNode {
    if (!isObject(value)) throw new FilterError(at, 'must be an object of fields with conditions');
    if (depth > MAX_FILTER_DEPTH) throw new FilterError(at, `may be nested at most ${MAX_FILTER_DEPTH} deep`);
    const nodes = Object.entries(value).flatMap(([name, member]): FilterNode[] => {
      const here = `${at}/${escapePointer(name)}`;
      if (name !== 'and' && name !== 'or') return conditions(name, member, here);
      if (!Array.isArray(member) || member.length === 0) {
        throw new FilterError(here, 'must be a list of filters');
      }
      if (member.length > MAX_CONDITIONS) {
        throw new FilterError(here, `may hold at most ${MAX_CONDITIONS} filters`);
      }
      return [
        {
          kind: 'group',
          by: name,
          nodes: member.map((part, index) => {
            count(`${here}/${index}`);
            return group(part, `${here}/${index}`, depth + 1);
          }),
        },
      ];
    });
    return { kind: 'group', by: 'and', nodes };
  }

  function conditions(column: string, value: unknown, at: string): FilterNode[] {
    if (!isObject(value) || Object.keys(value).length === 0) {
      throw new FilterError(at, `must be an object of conditions: ${OPERATORS}`);
    }
    return Object.entries(value).map(([operator, operand]) => {
      const here = `${at}/${escapePointer(operator)}`;
      count(here);
      if (Array.isArray(operand)) listed += operand.length;
      if (listed > MAX_IN_VALUES) {
        throw new FilterError(
          here,
          `the lists of a filter may hold at most ${MAX_IN_VALUES} values together`,
        );
      }
      return condition(column, operator, operand, here);
    });
  }

  return group(input, pointer, 1);
}

function condition(column: string, operator: string, operand: unknown, at: string): FilterNode {
  const by = COMPARISONS.find((name) => name === operator);
  if (by !== undefined) return { kind: 'compare', column, by, value: scalar(operand, at), pointer: at };
  if (operator === 'in') {
    if (!Array.isArray(operand) || operand.length === 0) {
      throw new FilterError(at, `must be a list of 1 to ${MAX_IN_VALUES} values`);
    }
    const values = operand.map((value, index) => scalar(value, `${at}/${index}`));
    return { kind: 'in', column, values, pointer: at };
  }
  if (operator === 'is_null') {
    if (typeof operand !== 'boolean') throw new FilterError(at, 'must be true or false');
    return { kind: 'is_null', column, isNull: operand, pointer: at };
  }
  if (operator === 'prefix') {
    if (typeof operand !== 'string') throw new FilterError(at, 'must be a string');
    if (operand === '') throw new FilterError(at, 'must not be empty');
    return { kind: 'prefix', column, prefix: scalar(operand, at).text, pointer: at };
  }
  throw new FilterError(at, `is not a condition; use ${OPERATORS}`);
}

function scalar(value: unknown, pointer: string): FilterValue {
  if (value === null) throw new FilterError(pointer, 'must not be null; use is_null');
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    throw new FilterError(pointer, 'must be a string, a number, true or false');
  }
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new FilterError(pointer, 'is outside the range of a JSON number: send it as a string');
  }
  const text = String(value);
  const kind = typeof value === 'string' ? 'text' : typeof value === 'number' ? 'number' : 'boolean';
  return { text, kind, pointer };
}

/** Whether there is no condition in it at all, so that it holds for every record. */
export function matchesEverything(node: FilterNode): boolean {
  if (node.kind !== 'group') return false;
  return node.by === 'and' ? node.nodes.every(matchesEverything) : node.nodes.some(matchesEverything);
}

/** The columns that a filter is on, each once. */
export function filterColumns(node: FilterNode): readonly string[] {
  if (node.kind !== 'group') return [node.column];
  return [...new Set(node.nodes.flatMap(filterColumns))];
}

function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
