import { expect, test } from 'vitest';
import { envReader } from '../runtime/env.ts';
import {
  compareTopic,
  configOf,
  type FoundTopic,
  showTopicFinding,
  targetsOf,
  warnOfFewBrokers,
} from './topic-plan.ts';
import { CLUSTER_DECIDES, readTopicSettings } from './topic-settings.ts';
import type { TopicDeclaration } from './topics.ts';

const ROWS: TopicDeclaration = {
  name: 't.rows',
  partitions: 6,
  minPartitions: 1,
  cleanup: 'delete',
  retentionMs: 1_000,
  holdsRows: true,
};
const STATE: TopicDeclaration = { name: 't.state', partitions: 1, cleanup: 'compact', retentionMs: 1_000 };

const targets = { replicas: 3, minInsync: 2, maxMessageBytes: 0 };

/** As `configOf` makes it, but for these. */
function found(
  declaration: TopicDeclaration,
  others: Partial<FoundTopic> & { with?: Record<string, string> } = {},
) {
  const { with: settings, ...rest } = others;
  return {
    partitions: declaration.partitions,
    replicas: 3,
    config: new Map(Object.entries({ ...configOf(declaration, targets), ...settings })),
    ...rest,
  };
}

test.each([
  [CLUSTER_DECIDES, 1, [1, 1]],
  [CLUSTER_DECIDES, 2, [2, 1]],
  [CLUSTER_DECIDES, 3, [3, 2]],
  [CLUSTER_DECIDES, 9, [3, 2]],
  [{ ...CLUSTER_DECIDES, replicationFactor: 5 }, 9, [5, 4]],
  [{ ...CLUSTER_DECIDES, replicationFactor: 3, minInsyncReplicas: 1 }, 3, [3, 1]],
])('%j on %i brokers: replicas and those that must have a record are %j', (settings, brokers, expected) => {
  const { replicas, minInsync } = targetsOf(settings, brokers);
  expect([replicas, minInsync]).toEqual(expected);
});

test('topics that are sized by fewer than three brokers are told, unless a setting sizes them', () => {
  const warn = (settings: typeof CLUSTER_DECIDES, brokers: number) =>
    warnOfFewBrokers(settings, targetsOf(settings, brokers)).join();
  expect(warn(CLUSTER_DECIDES, 2)).toContain(
    '2 replicas, because 2 brokers live now: set KAFKA_REPLICATION_FACTOR',
  );
  expect(warn(CLUSTER_DECIDES, 3)).toBe('');
  expect(warn({ ...CLUSTER_DECIDES, replicationFactor: 1 }, 1)).toBe('');
});

test('more replicas that must have a record than there are is refused', () => {
  expect(() => targetsOf({ ...CLUSTER_DECIDES, minInsyncReplicas: 2 }, 1)).toThrow(
    'KAFKA_MIN_INSYNC_REPLICAS is 2',
  );
  const read = envReader({ KAFKA_REPLICATION_FACTOR: '2', KAFKA_MIN_INSYNC_REPLICAS: '3' });
  readTopicSettings(read);
  expect(() => read.done({})).toThrow('must not be more than KAFKA_REPLICATION_FACTOR, which is 2');
});

test('a topic that is as declared, or safer, has no finding', () => {
  for (const declaration of [ROWS, STATE]) {
    expect(compareTopic(declaration, found(declaration), targets)).toEqual([]);
  }
  const safer = {
    'retention.ms': '-1',
    'min.insync.replicas': '3',
    'max.message.bytes': '99',
    'retention.bytes': '-1',
  };
  expect(compareTopic(ROWS, found(ROWS, { partitions: 1, replicas: 4, with: safer }), targets)).toEqual([]);
});

test.each([
  ['no topic', ROWS, undefined, 'fault', 'does not exist', { kind: 'create' }],
  [
    'too few partitions',
    { ...ROWS, minPartitions: 6 },
    found(ROWS, { partitions: 5 }),
    'fault',
    'has 5 partitions',
    undefined,
  ],
  [
    'another cleanup',
    STATE,
    found(STATE, { with: { 'cleanup.policy': 'delete' } }),
    'fault',
    'cleanup.policy=delete',
    { kind: 'configure', name: 'cleanup.policy', value: 'compact' },
  ],
  [
    'a topic that accepts no record',
    ROWS,
    found(ROWS, { with: { 'min.insync.replicas': '4' } }),
    'fault',
    'accepts no record',
    { kind: 'configure', name: 'min.insync.replicas', value: '2' },
  ],
  [
    'few replicas',
    ROWS,
    found(ROWS, { replicas: 1 }),
    'risk',
    'has 1 of 3 replicas',
    { kind: 'replicate', replicas: 3 },
  ],
  [
    'few replicas that must have a record',
    ROWS,
    found(ROWS, { with: { 'min.insync.replicas': '1' } }),
    'risk',
    'min.insync.replicas=1',
    { kind: 'configure', name: 'min.insync.replicas', value: '2' },
  ],
  [
    'a short retention',
    ROWS,
    found(ROWS, { with: { 'retention.ms': '999' } }),
    'risk',
    'retention.ms=999',
    { kind: 'configure', name: 'retention.ms', value: '1000' },
  ],
  [
    'a retention by size',
    ROWS,
    found(ROWS, { with: { 'retention.bytes': '1000' } }),
    'risk',
    'retention.bytes=1000',
    { kind: 'configure', name: 'retention.bytes', value: '-1' },
  ],
  [
    'unclean elections',
    ROWS,
    found(ROWS, { with: { 'unclean.leader.election.enable': 'true' } }),
    'risk',
    'unclean.leader.election.enable=true',
    { kind: 'configure', name: 'unclean.leader.election.enable', value: 'false' },
  ],
])('%s is found, with what corrects it', (_, declaration, topic, severity, text, fix) => {
  const findings = compareTopic(declaration, topic, targets);
  expect(findings).toEqual([{ topic: declaration.name, severity, text: expect.stringContaining(text), fix }]);
  const [finding] = findings;
  const line = finding === undefined ? '' : showTopicFinding(finding);
  expect(line.includes('run `tandem topics apply`')).toBe(fix !== undefined);
});

test('the size of records is asked of topics that hold rows alone', () => {
  const large = { ...targets, maxMessageBytes: 5_000_000 };
  const small = { with: { 'max.message.bytes': '1048588' } };
  expect(compareTopic(ROWS, found(ROWS, small), large)).toMatchObject([{ severity: 'risk' }]);
  expect(compareTopic(STATE, found(STATE, small), large)).toEqual([]);
  expect(configOf(ROWS, large)).toMatchObject({ 'max.message.bytes': '5000000' });
  expect(configOf(STATE, large)).not.toHaveProperty('max.message.bytes');
  expect(configOf(ROWS, targets)).not.toHaveProperty('max.message.bytes');
});
