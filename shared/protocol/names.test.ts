import { expect, test } from 'vitest';
import { SecretUrl } from '../runtime/env.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { openRegistry } from '../service/open-parts.ts';
import { rowsSubject } from './names.ts';

const openWith = (topicPrefix: string) =>
  openRegistry(
    { health: { metrics: createMetrics() } },
    { schemaRegistryUrl: new SecretUrl('http://127.0.0.1:1'), topicPrefix },
  ).subjects;

const SCHEMA = { namespace: 'tandem.jobs', name: 'JobCreated' };

test('subjects have the prefix of the topics, so that two installations may share a registry', () => {
  expect(openWith('acme').ofRecord(SCHEMA)).toBe('acme.tandem.jobs.JobCreated');
  expect(openWith('tandem').ofRecord(SCHEMA)).toBe('tandem.jobs.JobCreated');
  expect(rowsSubject('acme.rows.invoice')).toBe('acme.rows.invoice-value');
});
