import { expect, test } from 'vitest';
import { SecretUrl } from '../runtime/env.ts';
import { silentLog } from '../runtime/log.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { openRegistry } from '../service/open-parts.ts';
import { rowsSubject } from './names.ts';

async function openWith(topicPrefix: string) {
  await using cleanup = new AsyncDisposableStack();
  const context = { cleanup, health: { metrics: createMetrics() }, log: silentLog };
  const schemaRegistryUrl = new SecretUrl('http://127.0.0.1:1');
  return openRegistry(context, { schemaRegistryUrl, topicPrefix }).subjects;
}

const SCHEMA = { namespace: 'tandem.jobs', name: 'JobCreated' };

test('subjects have the prefix of the topics, so that two installations may share a registry', async () => {
  expect((await openWith('acme')).ofRecord(SCHEMA)).toBe('acme.tandem.jobs.JobCreated');
  expect((await openWith('tandem')).ofRecord(SCHEMA)).toBe('tandem.jobs.JobCreated');
  expect(rowsSubject('acme.rows.invoice')).toBe('acme.rows.invoice-value');
});
