import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** What a run came to, in one plain line that a script can read without knowing the test runner. */
export function summaryLine(passedCount: number, failedCount: number): string {
  return `${passedCount} passed, ${failedCount} failed`;
}

/**
 * Prints what failed, a line each, and the summary line last: who sees the end of a long log alone sees enough. A file that
 * could not be loaded and an error outside any test count as failures.
 */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<SerializedError>): void {
    let passedCount = 0;
    const failures = unhandled.map((error) => `outside any test: ${error.message}`);
    for (const module of modules) {
      const note = (name: string, errors: ReadonlyArray<SerializedError>) =>
        failures.push(
          ...errors.map((error) => `${module.relativeModuleId}${name}: ${error.message.split('\n')[0]}`),
        );
      note('', module.errors());
      for (const suite of module.children.allSuites()) note(` > ${suite.fullName}`, suite.errors());
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') passedCount += 1;
        if (state === 'failed') note(` > ${test.fullName}`, [errors[0] ?? { message: 'without an error' }]);
      }
    }
    for (const failure of failures) process.stdout.write(`\nfailed: ${failure}`);
    process.stdout.write(`\n${summaryLine(passedCount, failures.length)}\n`);
  }
}
