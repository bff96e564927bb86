import { expect, test } from 'vitest';
import { SqliteStore } from './sqlite.ts';

const RECORD = { data: '{"id":1}', position: null, at: null };

test('a transaction that fails leaves nothing, and those that overlap run one after the other', async () => {
  using store = new SqliteStore(':memory:');
  const failing = store.transaction(async (transaction) => {
    await transaction.writeState('first');
    await transaction.write(1, 'invoices', '{"id":1}', RECORD);
    throw new Error('killed');
  });
  const seen = store.transaction(async (transaction) => {
    await transaction.write(1, 'invoices', '{"id":2}', RECORD);
    return [await transaction.readState(), await transaction.read(1, 'invoices', '{"id":1}')];
  });
  await expect(failing).rejects.toThrow('killed');
  expect(await seen).toEqual([undefined, undefined]);
  expect(store.database.prepare('select key from tandem_records').all()).toEqual([{ key: '{"id":2}' }]);
});
