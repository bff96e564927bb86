import type { KafkaClientKind } from '../../shared/kafka/client-config.ts';

/** The settings that `npm run test:plain` turns: without them the tests run with what an operator gets. */
export const KAFKA_CLIENT = (process.env.KAFKA_CLIENT ?? 'tuned') as KafkaClientKind;
const PG_READER = process.env.PG_READER === 'plain' ? 'plain' : 'tuned';

/** For the environment of every service of a test. */
export const CLIENT_ENV = { KAFKA_CLIENT, PG_READER };
