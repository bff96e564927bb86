import type { Registry } from '../../../shared/kafka/registry.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { retry } from '../../../shared/runtime/retry.ts';
import { createRowCodec, type RowCodec } from '../../../shared/values/row-codec.ts';
import { ForeignSchemaError, readRowSchema } from '../../../shared/values/row-schema.ts';

export interface RowCodecs {
  /** @returns undefined until the schema is loaded, and for a schema of another resource */
  get(schemaId: number, resource: string): RowCodec | undefined;
  /**
   * Fetches the schema.
   *
   * @throws ForeignSchemaError when it does not belong to the resource's rows, as in a registry that was emptied and
   * assigns its IDs again; the registry's error after `MAX_ATTEMPTS`
   */
  load(schemaId: number, resource: string): Promise<RowCodec>;
  /** Loads the schema again for the next row: one did not fit it. */
  forget(schemaId: number): void;
}

/** About a minute: enough for a restart of the registry. */
const MAX_ATTEMPTS = 40;
const BACKOFF = { initialMs: 100, maxMs: 2_000 };

/** Codecs by schema ID. All are kept: there is one per version of a table's columns. */
export function createRowCodecs(registry: Pick<Registry, 'fetch' | 'forget'>, log: Log): RowCodecs {
  const codecs = new Map<number, RowCodec>();
  const fetch = async (schemaId: number): Promise<RowCodec> => {
    const what = `fetching the schema ${schemaId} of rows`;
    const schema = await retry({ what, backoff: BACKOFF, maxAttempts: MAX_ATTEMPTS, log }, () =>
      registry.fetch(schemaId),
    ).catch((cause: unknown) => {
      throw new Error(what, { cause });
    });
    // The names matter only to a codec that registers a schema.
    const names = { record: String(schema.name), namespace: String(schema.namespace) };
    const codec = createRowCodec(readRowSchema(schema), names);
    codecs.set(schemaId, codec);
    return codec;
  };
  const forget = (schemaId: number) => {
    codecs.delete(schemaId);
    registry.forget(schemaId);
  };
  return {
    forget,
    get(schemaId, resource) {
      const codec = codecs.get(schemaId);
      return codec?.schema.resource === resource ? codec : undefined;
    },
    async load(schemaId, resource) {
      let codec = await fetch(schemaId);
      if (codec.schema.resource !== resource) {
        forget(schemaId);
        codec = await fetch(schemaId);
      }
      if (codec.schema.resource === resource) return codec;
      throw new ForeignSchemaError(
        `the schema ${schemaId} of the registry is of ${codec.schema.resource}, and the row of ${resource}`,
      );
    },
  };
}
