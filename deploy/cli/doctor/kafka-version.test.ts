import { expect, test } from 'vitest';
import { describeVersions } from './kafka-version.ts';

/** What brokers of a release take of the requests that tell releases apart. */
const versions = (produce: number, fetch: readonly [number, number], logDirs: number) => ({
  0: { minVersion: 0, maxVersion: produce },
  1: { minVersion: fetch[0], maxVersion: fetch[1] },
  22: { minVersion: 0, maxVersion: 4 },
  35: { minVersion: 0, maxVersion: logDirs },
});
const KAFKA_4 = versions(12, [4, 17], 4);
const KAFKA_3_6 = versions(9, [0, 15], 4);
const KAFKA_2_8 = versions(9, [0, 12], 2);
const KAFKA_2_0 = versions(6, [0, 8], 1);

test('the oldest broker decides what is told', () => {
  expect(describeVersions(new Map([[1, KAFKA_4]]))).toEqual([
    { status: 'ok', detail: 'all brokers speak as Kafka 4.0 or later' },
  ]);
  expect(
    describeVersions(
      new Map([
        [1, KAFKA_4],
        [2, KAFKA_3_6],
      ]),
    ),
  ).toEqual([{ status: 'ok', detail: 'all brokers speak as Kafka 3.5 or later' }]);
});

test('a broker that is too old is named: a failure where services cannot work', () => {
  const found = describeVersions(
    new Map([
      [1, KAFKA_4],
      [2, KAFKA_2_8],
      [3, KAFKA_2_0],
    ]),
  );
  expect(found).toEqual([
    expect.objectContaining({ status: 'warning', detail: 'broker 2 speaks as a Kafka before 3.3' }),
    expect.objectContaining({ status: 'failure', detail: 'broker 3 speaks as a Kafka before 2.1' }),
  ]);
});
