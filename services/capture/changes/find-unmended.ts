import { DatabaseError } from 'pg';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeShape } from '../../../shared/catalog/describe-table.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { createChangeCodec } from '../../../shared/values/change-codec.ts';
import { loadTypes } from '../../../shared/values/load-types.ts';
import type { SetAside } from '../aside/set-asides.ts';
import { changeMessages } from './change-messages.ts';
import { requireFits } from './change-size.ts';
import { describeFlaw, isRowFlaw } from './flaws.ts';

export interface MendDeps {
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly limitBytes: number;
}

/** The row's bytes are not text in the session's encoding. */
const ENCODING_SQLSTATES = ['22021', '22P05'];

/** Findings that do not prevent events: a delete becomes a reset then, or nothing is streamed at all. */
const HARMLESS_CODES = ['replica_identity', 'publication'];

/**
 * Checks whether a set-aside resource can be sent again: its table fits the catalog, and the faulty row can be encoded
 * or is gone. Another faulty row sets it aside again once it changes.
 *
 * @returns the remaining fault; undefined when the resource is mended
 */
export async function findUnmended(aside: SetAside, deps: MendDeps): Promise<string | undefined> {
  const { source, catalog } = deps;
  const resource = findResource(catalog, aside.resource);
  if (resource === undefined) return 'the catalog no longer has the resource';
  const findings = await checkCatalog(source, { ...catalog, resources: [resource] });
  const unfit = findings.find(({ code, resource: of }) => of !== undefined && !HARMLESS_CODES.includes(code));
  if (unfit !== undefined) return showFinding(unfit);
  return aside.rowKey === null ? undefined : findFlawedRow(resource, aside.rowKey, deps);
}

async function findFlawedRow(
  resource: Resource,
  rowKey: readonly string[],
  { source, catalog, limitBytes }: MendDeps,
): Promise<string | undefined> {
  try {
    const shape = await describeShape(source, resource, await loadTypes(source));
    const columns = shape.columns.map(({ name }, at) => `${quoteIdent(name)} as v${at}`);
    const key = resource.key.map((name, at) => `${quoteIdent(name)} = $${at + 1}`);
    const { rows } = await source.query<Record<string, string | null>>(
      `select ${columns.join(', ')} from ${quoteTable(resource.table)} where ${key.join(' and ')}`,
      [...rowKey],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const codec = createChangeCodec(shape, { namespace: `tandem.${catalog.name}` });
    const after = shape.columns.map((_, at) => row[`v${at}`] ?? null);
    const source_ = { lsn: 0n, commitLsn: 0n, xid: 0n, index: 0, committedAtMicros: 0n, bulkJobId: null };
    const change = {
      op: 'insert' as const,
      account: '',
      resource: resource.name,
      before: null,
      after,
      unchanged: [],
      missing: [],
      source: source_,
    };
    const table = { encode: (each: typeof change) => codec.encode(each, 0), recordKey: () => rowKey.join() };
    for (const message of changeMessages(table, change, 1)) requireFits(message, limitBytes);
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    if (isRowFlaw(error)) return describeFlaw(error);
    if (!(error instanceof DatabaseError)) throw error;
    if (ENCODING_SQLSTATES.includes(error.code ?? ''))
      return `a value of the row is not text: ${error.message}`;
    // The key's type has changed: the row cannot be queried any more, and the table fits.
    if (error.code?.startsWith('22') === true || error.code === '42883') return undefined;
    throw error;
  }
}
