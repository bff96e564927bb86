import { expect, test } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import { rowRecordNames, rowSchema } from '../../../shared/values/row-schema.ts';
import { scalarType } from '../../../shared/values/scalar-types.ts';
import { createRowCodecs } from './row-codecs.ts';

const schemaOf = (resource: string) =>
  rowSchema(
    { resource, columns: [{ name: 'id', type: scalarType('int8', -1), isKey: true }] },
    rowRecordNames('tandem', resource),
  );

test('a schema is of one resource: rows of another with the same columns are not read with it', async () => {
  const codecs = createRowCodecs(
    { fetch: async () => schemaOf('receipts'), forget: () => undefined },
    silentLog,
  );
  await expect(codecs.load(7, 'invoices')).rejects.toThrow(
    'the schema 7 of the registry is of receipts, and the row of invoices',
  );
  expect(codecs.get(7, 'invoices')).toBeUndefined();
  expect(await codecs.load(7, 'receipts')).toBe(codecs.get(7, 'receipts'));
});

test('a registry that gave an ID again is asked again', async () => {
  let resource = 'receipts';
  const known = new Map<number, ReturnType<typeof schemaOf>>();
  const registry = {
    async fetch(id: number) {
      const schema = known.get(id) ?? schemaOf(resource);
      known.set(id, schema);
      return schema;
    },
    forget: (id: number) => void known.delete(id),
  };
  const codecs = createRowCodecs(registry, silentLog);
  await codecs.load(7, 'receipts');
  resource = 'invoices';
  expect((await codecs.load(7, 'invoices')).schema.resource).toBe('invoices');
  codecs.forget(7);
  expect(codecs.get(7, 'invoices')).toBeUndefined();
});
