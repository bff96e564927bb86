import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** What a run came to, in one plain line that a script can read without knowing the test runner. */
export function summaryLine(passedCount: number, failedCount: number): string {
  return `${passedCount} passed, ${failedCount} failed`;
}

/** Prints the summary line last. A file that could not be loaded and an error outside any test count as failures. */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<SerializedError>): void {
    let passedCount = 0;
    let failedCount = unhandled.length;
    for (const module of modules) {
      failedCount += module.errors().length;
      for (const suite of module.children.allSuites()) failedCount += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passedCount += 1;
        if (state === 'failed') failedCount += 1;
      }
    }
    process.stdout.write(`\n${summaryLine(passedCount, failedCount)}\n`);
  }
}
