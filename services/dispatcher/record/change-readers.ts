import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { Registry } from '../../../shared/kafka/registry.ts';
import { createChangeDecoder } from '../../../shared/values/change-codec.ts';
import { readRegistryId } from '../../../shared/values/wire-format.ts';
import { createEventRenderer, createResetRenderer, type EventRenderer } from './render-event.ts';

/** Reads and renders the changes of one schema version of one resource. */
export interface ChangeReader {
  readonly decode: (message: Buffer) => DecodedChange;
  /** Undefined for a resource that the catalog no longer has. */
  readonly renderer: EventRenderer | undefined;
}

/**
 * Finds how to read a message by the schema ID in it, without the source database. Readers are kept: there is one per
 * version of a table's columns, and their number is bounded by the registry.
 *
 * @throws when the registry can't be reached, or the message is not one of ours
 */
export function createChangeReaders(
  catalog: Catalog,
  registry: Pick<Registry, 'fetch'>,
): (message: Buffer) => ChangeReader | Promise<ChangeReader> {
  const readers = new Map<number, ChangeReader>();
  const load = async (id: number): Promise<ChangeReader> => {
    const schema = await registry.fetch(id);
    const { shape, decode } = createChangeDecoder(schema);
    const resource = findResource(catalog, shape.resource);
    const reader: ChangeReader = {
      decode,
      renderer: resource === undefined ? undefined : rendererOf(resource, shape),
    };
    readers.set(id, reader);
    return reader;
  };
  return (message) => {
    const id = readRegistryId(message);
    return readers.get(id) ?? load(id);
  };
}

function rendererOf(resource: Resource, shape: RowShape): EventRenderer {
  const names = shape.columns.map(({ name }) => name);
  return resource.key.every((name) => names.includes(name))
    ? createEventRenderer(resource, shape)
    : createResetRenderer(resource);
}
