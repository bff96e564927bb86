import { expect, test } from 'vitest';
import { createMessageCodec } from '../../../shared/kafka/messages.ts';
import { createRegistry, isIncompatibleSchema } from '../../../shared/kafka/registry.ts';
import { subjectsOf } from '../../../shared/protocol/names.ts';
import { testStack, topicPrefix } from '../../support/stack.ts';

const record = (fields: object[]) => ({ type: 'record', name: 'Row', namespace: 'test', fields });
const PLAIN = record([{ name: 'id', type: 'long' }]);

test('many processes that register the same new schema at once all get its one ID', async () => {
  const { schemaRegistryUrl } = testStack();
  for (let round = 0; round < 3; round += 1) {
    const subject = `${topicPrefix()}-value`;
    const ids = await Promise.all(
      Array.from({ length: 8 }, () => createRegistry(schemaRegistryUrl).register(subject, PLAIN)),
    );
    expect(new Set(ids).size).toBe(1);
  }
});

test('a subject that was left without a mode gets it', async () => {
  const { schemaRegistryUrl } = testStack();
  const subject = `${topicPrefix()}-value`;
  const response = await fetch(`${schemaRegistryUrl}/subjects/${subject}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ schema: JSON.stringify(PLAIN) }),
  });
  const { id } = (await response.json()) as { id: number };
  expect(await createRegistry(schemaRegistryUrl).register(subject, PLAIN)).toBe(id);
  const config = (await (await fetch(`${schemaRegistryUrl}/config/${subject}`)).json()) as object;
  expect(config).toEqual({ compatibilityLevel: 'BACKWARD' });
});

test('a schema that can not read what its subject holds is refused, and told apart from other processes’ interference', async () => {
  const registry = createRegistry(testStack().schemaRegistryUrl);
  const subject = `${topicPrefix()}-value`;
  await registry.register(subject, PLAIN);
  const retyped = record([{ name: 'id', type: 'boolean' }]);
  const refusal = await registry.register(subject, retyped).catch((error: unknown) => error);
  expect(isIncompatibleSchema(refusal)).toBe(true);
  expect(await registry.registerIncompatible(subject, retyped)).toBeGreaterThan(0);
});

test('a message is not read with the schema of another type, as in a registry that was emptied', async () => {
  const codec = createMessageCodec(createRegistry(testStack().schemaRegistryUrl), subjectsOf(topicPrefix()));
  const message = await codec.encode('ExtractExport', 'exp_1', { job_id: 'exp_1' });
  expect(await codec.decode(message)).toMatchObject({ type: 'ExtractExport', value: { job_id: 'exp_1' } });
  // The same fields: it could be read.
  const other = await codec.encode('CancelJob', 'exp_1', { job_id: 'exp_1' });
  await expect(codec.decode({ ...message, value: other.value })).rejects.toThrow(
    /a ExtractExport cannot be read: schema \d+ of the registry is CancelJob/,
  );
});
