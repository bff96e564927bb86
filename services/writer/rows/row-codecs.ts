import { setTimeout as delay } from 'node:timers/promises';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import { backoffMs } from '../../../shared/runtime/backoff.ts';
import { createRowCodec, type RowCodec } from '../../../shared/values/row-codec.ts';
import { readRowSchema } from '../../../shared/values/row-schema.ts';

export interface RowCodecs {
  /** @returns undefined when the schema was not fetched yet */
  get(schemaId: number): RowCodec | undefined;
  /** Fetches the schema if need be. @throws ForeignSchemaError when it is not of a row; the registry's failure after many tries */
  load(schemaId: number): Promise<RowCodec>;
}

/** With a pause of up to 2 s between them: about a minute, in which a registry is started anew. */
const FETCH_TRIES = 40;

/** Codecs by schema ID. There is one per version of a table's columns, so they are all kept. */
export function createRowCodecs(registry: { fetch(id: number): Promise<AvroSchemaJson> }): RowCodecs {
  const codecs = new Map<number, RowCodec>();
  return {
    get: (schemaId) => codecs.get(schemaId),
    async load(schemaId) {
      const schema = await fetchPatiently(registry, schemaId);
      // The names are those of the schema's record, and matter only to a codec that registers one.
      const names = { record: String(schema.name), namespace: String(schema.namespace) };
      const codec = createRowCodec(readRowSchema(schema), names);
      codecs.set(schemaId, codec);
      return codec;
    },
  };
}

async function fetchPatiently(
  registry: { fetch(id: number): Promise<AvroSchemaJson> },
  schemaId: number,
): Promise<AvroSchemaJson> {
  for (let tryCount = 1; ; tryCount += 1) {
    try {
      return await registry.fetch(schemaId);
    } catch (cause) {
      if (tryCount === FETCH_TRIES) throw new Error(`fetching the schema ${schemaId} of rows`, { cause });
      await delay(backoffMs(tryCount, { initialMs: 50, maxMs: 2_000 }));
    }
  }
}
