import type { ApiVersions } from '../../../shared/kafka/kafka-client.ts';
import { type Found, failure, ok, warning } from './area.ts';

/** Kafka's numbers of requests. */
const PRODUCE = 0;
const FETCH = 1;
const INIT_PRODUCER_ID = 22;
const DESCRIBE_LOG_DIRS = 35;

const newest = (versions: ApiVersions, request: number): number => versions[request]?.maxVersion ?? -1;

/** What came with a release, newest first: a broker shows the requests that it takes, and not its release. */
const SIGNS: readonly (readonly [string, (versions: ApiVersions) => boolean])[] = [
  ['4.0', (versions) => (versions[FETCH]?.minVersion ?? 0) >= 4],
  ['3.7', (versions) => newest(versions, FETCH) >= 16],
  ['3.5', (versions) => newest(versions, FETCH) >= 15],
  ['3.3', (versions) => newest(versions, DESCRIBE_LOG_DIRS) >= 4],
  ['2.1', (versions) => newest(versions, PRODUCE) >= 7 && newest(versions, INIT_PRODUCER_ID) >= 1],
];

/** Below it nobody tests; below the last sign, services fail at their first record. */
const OLDEST_SUPPORTED = '3.3';

/** @param brokers what each broker takes, by its ID */
export function describeVersions(brokers: ReadonlyMap<number, ApiVersions>): Found[] {
  const releases = [...brokers].map(([id, versions]) => {
    const rank = SIGNS.findIndex(([, isThere]) => isThere(versions));
    return { id, rank: rank < 0 ? SIGNS.length : rank, release: SIGNS[rank]?.[0] };
  });
  const oldest = SIGNS.findIndex(([release]) => release === OLDEST_SUPPORTED);
  const old = releases.filter(({ rank }) => rank > oldest);
  if (old.length === 0) {
    const lowest = releases.toSorted((a, b) => b.rank - a.rank)[0]?.release;
    return [ok(`all brokers speak as Kafka ${lowest} or later`)];
  }
  return old.map(({ id, release }) =>
    release === undefined
      ? failure(
          `broker ${id} speaks as a Kafka before 2.1`,
          `upgrade it: services need ${OLDEST_SUPPORTED} or later`,
        )
      : warning(
          `broker ${id} speaks as a Kafka before ${OLDEST_SUPPORTED}`,
          `upgrade it, unless it is another product with Kafka's protocol`,
        ),
  );
}
