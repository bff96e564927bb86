import type { Resource } from '../../shared/domain/catalog.ts';

/** A resource as a catalog has it that says nothing but its name; what is `given` says more. */
export function resource(name: string, given: Partial<Resource> = {}): Resource {
  return {
    name,
    table: { schema: 'app', name },
    event: name.replace(/s$/, ''),
    key: ['id'],
    account: 'account_id',
    range: undefined,
    softDelete: undefined,
    hide: [],
    related: [],
    operations: {},
    syncLimit: 100,
    ...given,
  };
}
