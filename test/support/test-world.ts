import { tmpdir } from 'node:os';
import { openWorld, type World, type WorldOptions } from '../../deploy/demo/world.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { TEST_SETTINGS } from './services.ts';
import { controlTemplate, type TestStack, testStack } from './stack.ts';

export interface TestWorldOptions extends Omit<WorldOptions, 'stack' | 'directory' | 'log'> {
  /** Parts of the test's own in place of the run's. */
  readonly stack?: Partial<TestStack>;
  /** Where logs and files go, for a test that reads them. */
  readonly directory?: string;
}

/** A product with Tandem beside it on the parts of this run, with services as processes of their own. */
export function openTestWorld({
  stack,
  directory = tmpdir(),
  env,
  ...options
}: TestWorldOptions): Promise<World> {
  const run = testStack();
  const parts = { ...run, ...stack };
  const controlServerUrl = options.controlServerUrl ?? parts.databaseUrl;
  return openWorld({
    ...options,
    stack: parts,
    // Only the run's own server has it.
    ...(controlServerUrl === run.databaseUrl ? { controlTemplate: controlTemplate() } : {}),
    directory,
    env: { ...TEST_SETTINGS, ...env },
    log: silentLog,
  });
}
