import type { Catalog } from '../domain/catalog.ts';
import { findOperation } from './operation.ts';

/** An operation of the catalog by its names, as jobs have them. */
export interface NamedOperation {
  readonly resource: string;
  readonly operation: string;
}

/**
 * The operations that ask a handler. By the catalog that this process works with, so that a job whose operation has become
 * another kind since it was asked for is claimed as what it is now.
 */
export function handlerOperations({ resources }: Catalog): NamedOperation[] {
  return resources.flatMap((resource) =>
    Object.keys(resource.operations)
      .filter((operation) => findOperation(resource, operation)?.kind === 'http')
      .map((operation) => ({ resource: resource.name, operation })),
  );
}
