import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { retry } from '../../../shared/runtime/retry.ts';
import { createRowCodec, type RowCodec } from '../../../shared/values/row-codec.ts';
import { readRowSchema } from '../../../shared/values/row-schema.ts';

export interface RowCodecs {
  /** @returns undefined when the schema was not fetched yet */
  get(schemaId: number): RowCodec | undefined;
  /** Fetches the schema if need be. @throws ForeignSchemaError when it is not of a row; the registry's failure after many tries */
  load(schemaId: number): Promise<RowCodec>;
}

/** About a minute, in which a registry is started anew. */
const MAX_ATTEMPTS = 40;
const BACKOFF = { initialMs: 100, maxMs: 2_000 };

/** Codecs by schema ID. There is one per version of a table's columns, so they are all kept. */
export function createRowCodecs(
  registry: { fetch(id: number): Promise<AvroSchemaJson> },
  log: Log,
): RowCodecs {
  const codecs = new Map<number, RowCodec>();
  return {
    get: (schemaId) => codecs.get(schemaId),
    async load(schemaId) {
      const what = `fetching the schema ${schemaId} of rows`;
      const schema = await retry({ what, backoff: BACKOFF, maxAttempts: MAX_ATTEMPTS, log }, () =>
        registry.fetch(schemaId),
      ).catch((cause: unknown) => {
        throw new Error(what, { cause });
      });
      // The names are those of the schema's record, and matter only to a codec that registers one.
      const names = { record: String(schema.name), namespace: String(schema.namespace) };
      const codec = createRowCodec(readRowSchema(schema), names);
      codecs.set(schemaId, codec);
      return codec;
    },
  };
}
