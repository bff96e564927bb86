import type { Catalog, Resource } from '../domain/catalog.ts';

/** Names of an operation of the catalog, as jobs store them. */
export interface NamedOperation {
  readonly resource: string;
  readonly operation: string;
}

/**
 * The operations with an HTTP handler. By the catalog of this process, so that a job whose operation has changed its kind since
 * the request is claimed as what it is now.
 */
export function handlerOperations({ resources }: Catalog): NamedOperation[] {
  return resources.flatMap((resource) =>
    Object.keys(resource.operations)
      .filter((operation) => findOperation(resource, operation)?.kind === 'http')
      .map((operation) => ({ resource: resource.name, operation })),
  );
}

/** What a column is set to or compared with in the catalog. */
export type CatalogValue = string | number | boolean | null;

/** An operation of the catalog with its meaning. */
export type BulkOperation =
  | {
      readonly kind: 'set';
      readonly set: Readonly<Record<string, CatalogValue>>;
      /** Columns whose values come with the request. */
      readonly fromParams: readonly string[];
      readonly skipWhen: Readonly<Record<string, CatalogValue>>;
    }
  /** Soft: the resource's `soft_delete` column is set to now. */
  | {
      readonly kind: 'delete';
      readonly isSoft: boolean;
      readonly skipWhen: Readonly<Record<string, CatalogValue>>;
    }
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly timeoutMs: number;
      readonly skipWhen: Readonly<Record<string, CatalogValue>>;
    };

/** An operation's entry, validated by the catalog's schema. */
interface OperationEntry {
  readonly set?: Readonly<Record<string, CatalogValue>>;
  readonly set_from_params?: readonly string[];
  readonly skip_when?: Readonly<Record<string, CatalogValue>>;
  readonly soft?: boolean;
  readonly http?: { readonly url: string; readonly timeout_ms: number };
}

/** @returns undefined when the resource has no such operation */
export function findOperation(resource: Resource, name: string): BulkOperation | undefined {
  if (!Object.hasOwn(resource.operations, name)) return undefined;
  const entry: OperationEntry = resource.operations[name] ?? {};
  const skipWhen = entry.skip_when ?? {};
  if (entry.http !== undefined) {
    return { kind: 'http', url: entry.http.url, timeoutMs: entry.http.timeout_ms, skipWhen };
  }
  if (entry.soft !== undefined) return { kind: 'delete', isSoft: entry.soft, skipWhen };
  return { kind: 'set', set: entry.set ?? {}, fromParams: entry.set_from_params ?? [], skipWhen };
}
