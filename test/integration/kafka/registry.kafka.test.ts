import { expect, test } from 'vitest';
import { createMessageCodec } from '../../../shared/kafka/messages.ts';
import { createRegistry, isIncompatibleSchema } from '../../../shared/kafka/registry.ts';
import { subjectsOf } from '../../../shared/protocol/names.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { testStack, topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

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

test('what the registry lost of a process’s schemas is registered again, and nothing else', async () => {
  const { schemaRegistryUrl } = testStack();
  const registry = createRegistry(schemaRegistryUrl);
  // More than are asked for at each call.
  const subjects = Array.from({ length: 25 }, () => `${topicPrefix()}-value`);
  // Of an ID of its own each: a registry has the same schema under one.
  const schemaOf = (subject: string) => ({ ...PLAIN, name: subject.slice(0, -'-value'.length) });
  await Promise.all(subjects.map((subject) => registry.register(subject, schemaOf(subject))));
  expect(await registry.restoreLost()).toEqual([]);
  for (const subject of subjects.slice(3, 20)) {
    for (const query of ['', '?permanent=true']) {
      await (await fetch(`${schemaRegistryUrl}/subjects/${subject}${query}`, { method: 'DELETE' })).text();
    }
  }
  const lost: string[] = [];
  await waitFor('every lost schema to be found', async () => {
    lost.push(...(await registry.restoreLost()));
    return lost.length > 0;
  });
  expect(lost.toSorted()).toEqual(subjects.slice(3, 20).toSorted());
  expect(await registry.restoreLost()).toEqual([]);
  const other = createRegistry(schemaRegistryUrl);
  for (const subject of subjects) {
    const id = await registry.register(subject, schemaOf(subject));
    expect(await other.fetch(id)).toEqual(schemaOf(subject));
  }
});

test('while the registry is away nothing counts as lost', async () => {
  const { schemaRegistryUrl } = testStack();
  const proxy = await openSilentProxy('127.0.0.1', Number(new URL(schemaRegistryUrl).port));
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(proxy);
  const url = new URL(schemaRegistryUrl);
  url.port = String(proxy.port);
  const registry = createRegistry(url.href);
  const subject = `${topicPrefix()}-value`;
  const id = await registry.register(subject, PLAIN);
  proxy.cut(1);
  await expect(registry.restoreLost()).rejects.toThrow();
  proxy.cut(Number(new URL(schemaRegistryUrl).port));
  expect(await registry.restoreLost()).toEqual([]);
  expect(await registry.register(subject, PLAIN)).toBe(id);
});
