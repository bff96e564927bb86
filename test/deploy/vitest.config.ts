import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from '../support/summary-reporter.ts';
import { RETRIES } from '../vitest.config.ts';

/** `npm run test:deploy`: builds the image of the services and runs it. Apart from the others, because it takes minutes. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/deploy/*.test.ts'],
    reporters: ['default', new SummaryReporter()],
    globalSetup: [fileURLToPath(new URL('../support/global-setup.ts', import.meta.url))],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    retry: RETRIES,
  },
});
