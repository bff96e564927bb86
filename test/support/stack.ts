import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { createScratchDatabase, type ScratchDatabase } from '../../deploy/local/scratch-database.ts';

/** The real parts that a test runs against. */
export interface TestStack {
  /** A server where databases and replication slots may be created; tests use one of their own on it. */
  readonly databaseUrl: string;
  /** Comma-separated `host:port`. */
  readonly kafkaBrokers: string;
  readonly schemaRegistryUrl: string;
}

export type TestDatabase = ScratchDatabase;

/** The parts of this run. Works in integration and e2e tests only. */
export function testStack(): TestStack {
  return inject('stack');
}

/** A prefix for topics, groups, slots and publications that no other test has: lower-case letters, digits and `_`. */
export function topicPrefix(): string {
  return `t_${randomBytes(5).toString('hex')}`;
}

/** An empty database that no other test has, to be dropped (or disposed of) when the test file is done with it. */
export function createDatabase(label = 'test'): Promise<TestDatabase> {
  return createScratchDatabase(testStack().databaseUrl, label);
}

/** A database to copy on the run's server, with every migration of the control store and nothing else. */
export function controlTemplate(): string {
  return inject('controlTemplate');
}

/** As `createDatabase`, with every migration of the control store applied. */
export function createControlDatabase(label: string): Promise<TestDatabase> {
  return createScratchDatabase(testStack().databaseUrl, label, { template: controlTemplate() });
}
