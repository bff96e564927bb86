import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** From the longest to the shortest, as measured. */
const KINDS = ['test/e2e/', '.kafka.test.ts', 'test/integration/'];

/** Starts the long files first, so that at the end of a run no worker waits for another's long one. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => kindOf(a) - kindOf(b));
  }
}

function kindOf({ moduleId }: TestSpecification): number {
  const kind = KINDS.findIndex((part) => moduleId.includes(part));
  return kind < 0 ? KINDS.length : kind;
}
