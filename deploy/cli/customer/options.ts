import { InvalidArgumentError, type Command as Program } from 'commander';
import type { Page, Pages } from '../../../schemas/clients/typescript/src/index.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { wholeNumber } from '../command.ts';
import type { Customer } from './customer-command.ts';
import { formatTable, printable } from './format.ts';

const MAX_LISTED = 1_000_000;
const DEFAULT_LISTED = 20;

/** Parses `a,b,c`. */
export function commaList(text: string): string[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new InvalidArgumentError('It must be a list such as a,b.');
  return items;
}

/** Parses a JSON object. */
export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('It must be a JSON object, such as \'{"status": {"eq": "draft"}}\'.');
}

/** Headers of lines such as `X-Team: billing`. @throws SetupError */
export function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(line) ?? [];
      // The line may hold a password, and is not shown.
      if (name === undefined || value === undefined) throw new SetupError('a --header must be "Name: value"');
      return [name, value];
    }),
  );
}

/** The object without the members that are undefined, for a body whose members are optional. */
export function given<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}

/** The first argument, which commander requires. */
export function first(args: readonly string[]): string {
  return args[0] ?? '';
}

/** The option of commands that list. */
export function limited(program: Program): Program {
  return program.option('--limit <n>', 'how many at most', wholeNumber(1, MAX_LISTED), DEFAULT_LISTED);
}

/** Prints a list: one line of JSON for each item, or a table. Pages are read as they are needed. */
export async function printList<T>(
  { isJson, print, note }: Customer,
  list: Pages<T>,
  limit: number,
  head: readonly string[],
  rowOf: (item: T) => readonly (string | number | null | undefined)[],
): Promise<void> {
  const rows: (readonly string[])[] = [];
  let printed = 0;
  let page: Page<T> | undefined;
  do {
    page = await list.page(page?.next_cursor ?? undefined);
    for (const item of page.data.slice(0, limit - printed)) {
      printed += 1;
      if (isJson) print(item, []);
      else rows.push(rowOf(item).map((cell) => printable(String(cell ?? '-'))));
    }
  } while (page.has_more && page.next_cursor !== null && printed < limit);
  if (rows.length > 0) print(undefined, formatTable([head, ...rows]));
  else if (!isJson) note('there is none');
  if (page.has_more && !isJson) note(`there are more: --limit ${limit * 10}`);
}

/** @throws InvalidArgumentError, which commander shows */
export function sqlitePath(text: string): string {
  const [, path] = /^sqlite:(.+)$/.exec(text) ?? [];
  if (path === undefined)
    throw new InvalidArgumentError('It must be sqlite: and a file, such as sqlite:replica.db.');
  return path;
}
