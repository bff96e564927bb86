import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from '../support/summary-reporter.ts';

/** `npm run test:cluster`: three brokers, and a secured one. Apart from the others, because each file needs the machine. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/cluster/*.test.ts'],
    reporters: ['default', new SummaryReporter()],
    globalSetup: [fileURLToPath(new URL('../support/global-setup.ts', import.meta.url))],
    execArgv: ['--disable-warning=TimeoutNegativeWarning'],
    maxWorkers: 1,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    retry: process.env.CI === 'true' ? 1 : 0,
  },
});
