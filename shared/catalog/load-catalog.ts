import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import {
  FilterError,
  type FilterInput,
  type FilterNode,
  matchesEverything,
  parseFilter,
} from '../domain/bulk-filter.ts';
import type { Catalog, Resource } from '../domain/catalog.ts';
import { SetupError } from '../runtime/errors.ts';
import { findParents, linkParents } from './account-paths.ts';
import { catalogSchema, type ResourceEntry, resourceSchema, toPublicField } from './catalog-schema.ts';
import { checkNames, type Problem } from './check-names.ts';
import { parseTableName } from './parse-table-name.ts';

/** Hundreds of resources fit; a wrong path to something huge does not fill the memory. */
const MAX_CATALOG_BYTES = 1024 * 1024;

/** Reads the operator's catalog. @throws SetupError when the file can't be read or is not a usable catalog */
export async function loadCatalog(path: string): Promise<Catalog> {
  return parseCatalog(await readCatalogFile(path), basename(path));
}

/**
 * Parses a catalog. `fileName` only names it in findings, which read `documint.yaml:12: resources.invoices.key: …`.
 * @throws SetupError with every problem found; the cross-checks of a resource wait until its own fields are right
 */
export function parseCatalog(text: string, fileName: string): Catalog {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw unusable(
      fileName,
      document.errors.map(({ pos, message }) => `${fileName}:${lines.linePos(pos[0]).line}: ${message}`),
    );
  }
  const { catalog, problems } = readCatalog(toPlain(document, fileName));
  if (catalog !== undefined && problems.length === 0) return catalog;
  const findings = problems.map(({ path, message }) => ({
    line: lineOf(document, lines, path),
    text: `${showPath(path)}${message}`,
  }));
  findings.sort((a, b) => a.line - b.line);
  throw unusable(
    fileName,
    findings.map(({ line, text }) => `${fileName}:${line}: ${text}`),
  );
}

function readCatalog(plain: unknown): { catalog?: Catalog; problems: Problem[] } {
  const outer = catalogSchema.safeParse(plain, { reportInput: false });
  if (!outer.success) return { problems: toProblems(outer.error, []) };
  const names = Object.keys(outer.data.resources);
  const entries = new Map<string, ResourceEntry>();
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(outer.data.resources)) {
    const result = resourceSchema.safeParse(value);
    if (result.success) entries.set(name, result.data);
    else problems.push(...toProblems(result.error, ['resources', name]));
  }
  problems.push(...checkNames(names, entries));
  const { parents, problems: pathProblems } = findParents(entries, names);
  problems.push(...pathProblems);
  const records = [...entries].flatMap(([name, entry]) => toResource(name, entry, problems) ?? []);
  const resources = linkParents(records, entries, parents);
  return { catalog: { name: outer.data.catalog, resources }, problems };
}

function toResource(
  name: string,
  entry: ResourceEntry,
  problems: Problem[],
): Omit<Resource, 'account'> | undefined {
  const table = parseTableName(entry.table);
  if (table === undefined) return undefined;
  const where = entry.where === undefined ? undefined : readWhere(name, entry.where, problems);
  return {
    name,
    table,
    event: entry.event,
    key: entry.key,
    range: entry.range,
    softDelete: entry.soft_delete,
    expose: entry.expose,
    hide: entry.hide,
    ...(entry.fields === undefined ? {} : { fields: Object.entries(entry.fields).map(toPublicField) }),
    where,
    asOf: entry.as_of,
    related: entry.related,
    operations: entry.operations,
    syncLimit: entry.sync_limit,
  };
}

function readWhere(name: string, input: FilterInput, problems: Problem[]): FilterNode | undefined {
  const path = ['resources', name, 'where'];
  try {
    const where = parseFilter(input, '');
    if (!matchesEverything(where)) return where;
    problems.push({ path, message: 'holds for every row: name a condition, or leave it out' });
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    const steps = error.pointer.split('/').slice(1);
    // Places in lists are numbers, as no column is called.
    const toStep = (step: string) =>
      /^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~');
    problems.push({ path: [...path, ...steps.map(toStep)], message: error.message });
  }
  return undefined;
}

function toProblems(error: z.ZodError, at: readonly PropertyKey[]): Problem[] {
  return error.issues.flatMap((issue): Problem[] => {
    const path = [...at, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...path, key], message: 'is not a field of a catalog' }));
    }
    if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    return [{ path, message: issue.message }];
  });
}

/** @throws SetupError for aliases that lead nowhere or unfold into too much */
function toPlain(document: Document, fileName: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    if (cause instanceof ReferenceError) throw unusable(fileName, [`${fileName}: ${cause.message}`]);
    throw cause;
  }
}

/** The line of the field, or of the innermost thing around it that is in the file. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      if (isNode(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      if (isNode(node) && node.range) offset = node.range[0];
    } else {
      break;
    }
  }
  return lines.linePos(offset).line;
}

/** `resources.invoices.key[0]: `, or nothing for the file as a whole. */
function showPath(path: readonly PropertyKey[]): string {
  const steps = path.map((step, index) => {
    if (typeof step === 'number') return `[${step}]`;
    return index === 0 ? String(step) : `.${String(step)}`;
  });
  return steps.length === 0 ? '' : `${steps.join('')}: `;
}

async function readCatalogFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_CATALOG_BYTES) {
      throw new SetupError(`the catalog ${path} has ${size} bytes; at most ${MAX_CATALOG_BYTES} are read`);
    }
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === undefined) throw cause;
    throw new SetupError(`the catalog ${path} can't be read (${code}): set CATALOG to a readable file`);
  }
}

function unusable(fileName: string, findings: readonly string[]): SetupError {
  return new SetupError(`the catalog ${fileName} is not usable`, findings);
}
