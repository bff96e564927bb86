import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { findMissingTool } from '../deploy/local/fetch-jars.ts';
import { LongestFirst } from './support/longest-first.ts';
import { stackVariables } from './support/stack-variables.ts';
import { SummaryReporter } from './support/summary-reporter.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const EXCLUDED = ['**/node_modules/**', '.tandem/**'];

/** A machine of CI that stands still for a while is no fault of the product. Elsewhere a failure is shown at once. */
export const RETRIES = process.env.CI === 'true' ? 2 : 0;

/** What comes does so at once; a busy machine takes its time. */
const POLL_LIMIT_MS = 60_000;

/** Of `npm test`: it takes five files at a time to keep two processors busy, since most wait for others now and then. */
const SHARING = ['integration', 'e2e'];

/** Projects against real parts. Each file has databases, topics and ports of its own. */
function realParts(name: string): TestProjectConfiguration {
  const isSharing = SHARING.includes(name);
  return {
    root,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      exclude: EXCLUDED,
      globalSetup: [fileURLToPath(new URL('./support/global-setup.ts', import.meta.url))],
      // The Kafka client sets such a timeout on every newer Node, to no harm, and Node says so once a process.
      execArgv: ['--disable-warning=TimeoutNegativeWarning'],
      maxWorkers: isSharing ? 5 : 3,
      // A process that has loaded the code already takes a quarter less CPU for a file than a new one. The other projects
      // have few files.
      isolate: !isSharing,
      sequence: { groupOrder: 1 },
      testTimeout: 300_000,
      hookTimeout: 300_000,
      expect: { poll: { timeout: POLL_LIMIT_MS } },
      retry: RETRIES,
    },
  };
}

/**
 * The parts need Java. A machine without it still runs the unit tests and prints what it skips; in CI a skipped test would pass for a tested one, so there the set-up fails instead.
 */
function realPartProjects(): TestProjectConfiguration[] {
  const missing = findMissingTool(process.env, stackVariables(process.env));
  if (missing !== null && process.env.CI !== 'true') {
    console.warn(`skipping the integration and e2e tests: ${missing.message}`);
    return [];
  }
  return ['integration', 'e2e', 'outages', 'pages', 'requests'].map(realParts);
}

export default defineConfig({
  root,
  test: {
    passWithNoTests: false,
    // The one line at the end of a run is all that is left of a failure elsewhere: it shows what was there instead.
    chaiConfig: { truncateThreshold: 400 },
    reporters: ['default', new SummaryReporter()],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        root,
        test: {
          name: 'unit',
          // A new process for each file takes more than the tests do. A test puts back what it replaces.
          isolate: false,
          include: [
            '{services,shared,deploy,schemas}/**/*.test.ts',
            'test/*.test.ts',
            'test/support/**/*.test.ts',
            'test/simulation/**/*.test.ts',
          ],
          exclude: EXCLUDED,
          // Files of every format are written here too; a busy machine takes its time.
          testTimeout: 120_000,
          expect: { poll: { timeout: POLL_LIMIT_MS } },
          retry: RETRIES,
          sequence: { groupOrder: 0 },
        },
      },
      ...realPartProjects(),
    ],
  },
});
