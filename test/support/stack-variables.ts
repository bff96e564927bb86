import type { Env } from '../../shared/runtime/env.ts';

/** What a test run was told to use in place of parts of its own, in the names that the stack reads. */
export function stackVariables(env: Env): Env {
  return {
    DATABASE_URL: env.TEST_POSTGRES_URL,
    CONTROL_DATABASE_URL: env.TEST_POSTGRES_URL,
    KAFKA_BROKERS: env.TEST_KAFKA_BROKERS,
    SCHEMA_REGISTRY_URL: env.TEST_SCHEMA_REGISTRY_URL,
  };
}
