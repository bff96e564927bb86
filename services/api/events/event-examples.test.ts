import { expect, test } from 'vitest';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { eventExamples } from './event-examples.ts';
import { batchSchema, eventSchemas } from './event-schemas.ts';

test('every event type has an example that its schema accepts', async () => {
  const catalog = await loadCatalog('schemas/catalogs/documint.yaml');
  const schemas = new Map([...eventSchemas(catalog), ['batch', batchSchema] as const]);
  const examples = eventExamples(catalog);
  expect([...examples.keys()].sort()).toEqual([...schemas.keys()].sort());
  for (const [type, schema] of schemas) {
    const example = examples.get(type);
    expect(schema.safeParse(example).error?.issues ?? [], type).toEqual([]);
    expect(example).toMatchObject({ type });
  }
});
