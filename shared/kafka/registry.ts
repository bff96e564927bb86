import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';

/** An Avro schema as JSON. */
export type AvroSchemaJson = Readonly<Record<string, unknown>>;

export interface Registry {
  /**
   * Registers a schema under a subject, or finds the one that is there.
   *
   * @returns the ID that goes into each message's first five bytes
   * @throws when the schema is not compatible with what the subject already holds (mode BACKWARD)
   */
  register(subject: string, schema: AvroSchemaJson): Promise<number>;
  /** The schema of an ID exactly as it was registered, with our own properties; kept after the first call. */
  fetch(id: number): Promise<AvroSchemaJson>;
  /** Encoding and decoding of small messages through Avro's general library. Rows and changes have their own codec in `values/`. */
  encode(id: number, value: unknown): Promise<Buffer>;
  decode(message: Buffer): Promise<unknown>;
}

/** A client of a registry that speaks Confluent's API at `url`. */
export function createRegistry(url: string): Registry {
  const base = url.replace(/\/$/, '');
  const client = new SchemaRegistry({ host: base, retry: { retries: 10, initialRetryTimeInSecs: 0.1 } });
  const ids = new Map<string, Promise<number>>();
  const schemas = new Map<number, Promise<AvroSchemaJson>>();
  return {
    register(subject, schema) {
      const text = JSON.stringify(schema);
      const cacheKey = `${subject}\n${text}`;
      return remember(ids, cacheKey, async () => {
        const { id } = await client.register(
          { type: SchemaType.AVRO, schema: text },
          { subject, compatibility: COMPATIBILITY.BACKWARD },
        );
        return id;
      });
    },
    fetch: (id) => remember(schemas, id, () => fetchSchema(base, id)),
    encode: (id, value) => client.encode(id, value),
    decode: (message) => client.decode(message),
  };
}

/** The package returns a parsed type without the properties that only we read, so the text is fetched as it is. */
async function fetchSchema(base: string, id: number): Promise<AvroSchemaJson> {
  const response = await fetch(`${base}/schemas/ids/${id}`, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`the schema registry answered ${response.status} for schema ${id}`);
  const body = (await response.json()) as { schema: string };
  return JSON.parse(body.schema) as AvroSchemaJson;
}

/** Keeps the promise of a call, so that calls at the same time are one; a failed one is forgotten and tried again. */
function remember<K, V>(cache: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  made.catch(() => cache.delete(key));
  return made;
}
