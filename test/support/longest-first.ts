import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Ends of the paths of files that take a minute or more, as measured on two cores. */
export const LONGEST = [
  'e2e/chunked-export.e2e.test.ts',
  'e2e/hand-off.e2e.test.ts',
  'e2e/clients.e2e.test.ts',
  'e2e/hand-off-property.e2e.test.ts',
  'e2e/export-as-of.e2e.test.ts',
  'e2e/verify.e2e.test.ts',
  'e2e/export-formats.e2e.test.ts',
  'e2e/export-scope.e2e.test.ts',
  'e2e/shapes.e2e.test.ts',
  'integration/capture/restart.kafka.test.ts',
  'integration/extractor/takeover.kafka.test.ts',
  'integration/capture/parents-broken.kafka.test.ts',
  'integration/writer/writer.kafka.test.ts',
  'integration/extractor/gives-way.kafka.test.ts',
  'integration/dispatcher/durability.kafka.test.ts',
  'integration/capture/parents-property.kafka.test.ts',
  'integration/capture/source-faults.kafka.test.ts',
  'integration/bulk/http-hanging.pg.test.ts',
];

/** From the longest to the shortest kind. Files of a project stand together, so that a process serves the next file too. */
const KINDS = ['test/e2e/', '.kafka.test.ts', 'test/integration/'];

/** Starts the long files first, so that at the end of a run no worker waits for another's long one. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const kind = KINDS.findIndex((part) => moduleId.includes(part));
  const known = LONGEST.findIndex((name) => moduleId.endsWith(name));
  return (kind < 0 ? KINDS.length : kind) * (LONGEST.length + 1) + (known < 0 ? LONGEST.length : known);
}
