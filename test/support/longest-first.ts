import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take longest, as measured on two cores, the longest first: ends of their paths. */
export const LONGEST = [
  'e2e/export-as-of.e2e.test.ts',
  'integration/extractor/takeover.kafka.test.ts',
  'integration/api/openapi.kafka.test.ts',
  'e2e/chunked-export.e2e.test.ts',
  'e2e/clients.e2e.test.ts',
  'integration/writer/writer.kafka.test.ts',
  'integration/dispatcher/durability.kafka.test.ts',
];

/** The others, from the longest to the shortest kind. */
const KINDS = ['test/e2e/', '.kafka.test.ts', 'test/integration/'];

/** Starts the long files first, so that at the end of a run no worker waits for another's long one. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const known = LONGEST.findIndex((name) => moduleId.endsWith(name));
  if (known >= 0) return known;
  const kind = KINDS.findIndex((part) => moduleId.includes(part));
  return LONGEST.length + (kind < 0 ? KINDS.length : kind);
}
