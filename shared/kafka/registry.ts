import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { type Secret, SecretUrl } from '../runtime/env.ts';
import { defineMetrics, type Metrics } from '../runtime/metrics.ts';
import { sleep } from '../runtime/sleep.ts';
import {
  fetchLatest,
  fetchSchema,
  findSchema,
  type RegistryAddress,
  readAddress,
  registerUnchecked,
  setCompatibility,
} from './registry-http.ts';

/** An Avro schema as JSON. */
export type AvroSchemaJson = Readonly<Record<string, unknown>>;

/** A schema that this process has registered. */
export interface RegisteredSchema {
  /** What goes into each message's first five bytes: another number once the registry had lost the schema and got it again. */
  readonly id: number;
}

export interface Registry {
  /**
   * Registers a schema under a subject, or finds the one that is there.
   *
   * @returns the ID that goes into each message's first five bytes
   * @throws when the schema is not compatible with what the subject already holds (mode BACKWARD)
   */
  register(subject: string, schema: AvroSchemaJson): Promise<number>;
  /**
   * Registers a schema also where it can't read what the subject's earlier versions wrote: the source's column has
   * changed its type, and that is not ours to refuse. Readers that decode by the ID in each message are not touched.
   */
  registerIncompatible(subject: string, schema: AvroSchemaJson): Promise<number>;
  /** The schema of an ID exactly as it was registered, with our own properties; kept after the first call. */
  fetch(id: number): Promise<AvroSchemaJson>;
  /** Asks for a schema again when it is needed next: a record does not fit it, as after the registry gave its ID again. */
  forget(id: number): void;
  /** The newest schema of a subject, or undefined when nothing was registered under it. Each call asks the registry. */
  latest(subject: string): Promise<AvroSchemaJson | undefined>;
  /** For a process that writes with a schema for long. @throws when this process has not registered it */
  registered(subject: string, schema: AvroSchemaJson): RegisteredSchema;
  /**
   * Registers again what this process has registered and the registry lacks by now, because it was emptied or restored from
   * older data. From then on it has its new ID everywhere here. Each call asks for a few schemas, in turn, and for all once one
   * is missing.
   *
   * @returns the subjects of what was missing
   * @throws when the registry does not respond
   */
  restoreLost(): Promise<readonly string[]>;
  /** Encoding and decoding of small messages through Avro's general library. Rows and changes have their own codec in `values/`. */
  encode(id: number, value: unknown): Promise<Buffer>;
  decode(message: Buffer): Promise<unknown>;
}

const OPERATIONS = ['register', 'fetch'] as const;

/** What `restoreLost` asks for at each call. A registry that was emptied lacks whichever it is. */
const MAX_ASKED = 10;

/** At once: those of a large catalog come all together, and each is three requests of work for the registry. */
const MAX_REGISTRATIONS = 8;

export const REGISTRY_METRICS = defineMetrics({
  duration: {
    name: 'tandem_registry_request_duration_seconds',
    type: 'histogram',
    help: 'Time of one call to the schema registry, by operation, its repetitions included.',
    normal: 'p99 below 1 s; few calls after the start',
    labels: { operation: OPERATIONS },
    buckets: [0.005, 0.025, 0.1, 0.25, 1, 5, 30],
  },
  failures: {
    name: 'tandem_registry_failures_total',
    type: 'counter',
    help: 'Calls to the schema registry that failed, by operation. Refused schemas count too.',
    normal: '0',
    labels: { operation: OPERATIONS },
  },
});

/** Runs a call and records how long it took, and whether it failed. */
type Measure = <Result>(
  operation: (typeof OPERATIONS)[number],
  call: () => Promise<Result>,
) => Promise<Result>;

function createMeasure(metrics: Metrics | undefined): Measure {
  if (metrics === undefined) return (_, call) => call();
  const duration = metrics.histogram(REGISTRY_METRICS.duration);
  const failures = metrics.counter(REGISTRY_METRICS.failures);
  return async (operation, call) => {
    const startedAtMs = performance.now();
    try {
      return await call();
    } catch (error) {
      failures.add(1, { operation });
      throw error;
    } finally {
      duration.observe((performance.now() - startedAtMs) / 1_000, { operation });
    }
  };
}

/** A client of a registry that speaks Confluent's API at `url`, with a login where the URL has one. */
export function createRegistry(url: Secret | string, metrics?: Metrics): Registry {
  const measure = createMeasure(metrics);
  const address = readAddress((typeof url === 'string' ? new SecretUrl(url) : url).reveal());
  const { base, auth } = address;
  const connect = () =>
    new SchemaRegistry({
      host: base,
      ...(auth === undefined ? {} : { auth }),
      retry: { retries: 10, initialRetryTimeInSecs: 0.1 },
    });
  let client = connect();
  const limit = createLimit(MAX_REGISTRATIONS);
  const ids = new Map<string, Promise<number>>();
  /** In the order in which they were registered first. */
  const registrations = new Map<string, Registration>();
  const note = (subject: string, schema: AvroSchemaJson, id: number): number => {
    const cacheKey = cacheKeyOf(subject, schema);
    const known = registrations.get(cacheKey);
    if (known === undefined) registrations.set(cacheKey, { subject, schema, id });
    else known.id = id;
    return id;
  };
  let askedCount = 0;
  const schemas = new Map<number, Promise<AvroSchemaJson>>();
  const registry: Registry = {
    register(subject, schema) {
      const text = JSON.stringify(schema);
      const cacheKey = cacheKeyOf(subject, schema);
      const registration = async () => {
        const register = () =>
          client.register(
            { type: SchemaType.AVRO, schema: text },
            { subject, compatibility: COMPATIBILITY.BACKWARD },
          );
        const repair = () => setCompatibility(address, subject, COMPATIBILITY.BACKWARD);
        return note(subject, schema, (await outlastOthers(register, repair)).id);
      };
      return remember(ids, cacheKey, () => limit(() => measure('register', registration)));
    },
    async registerIncompatible(subject, schema) {
      await setCompatibility(address, subject, COMPATIBILITY.NONE);
      try {
        const id = await measure('register', () => registerUnchecked(address, subject, schema));
        return note(subject, schema, id);
      } finally {
        await setCompatibility(address, subject, COMPATIBILITY.BACKWARD);
      }
    },
    registered(subject, schema) {
      const registration = registrations.get(cacheKeyOf(subject, schema));
      if (registration === undefined) throw new Error(`no such schema of ${subject} was registered here`);
      return registration;
    },
    async restoreLost() {
      const all = [...registrations.values()];
      const isLost = async (each: Registration) => !(await measure('fetch', () => isStill(address, each)));
      const count = Math.min(MAX_ASKED, all.length);
      const turn = [...all, ...all].slice(askedCount % (all.length || 1)).slice(0, count);
      askedCount += count;
      if ((await filterAsync(turn, isLost)).length === 0) return [];
      // All before the first gets an ID again.
      const lost = await filterAsync(all, isLost);
      for (const { subject, schema } of lost) {
        ids.delete(cacheKeyOf(subject, schema));
        // One that can't be registered now is found to be lost again.
        await registry
          .register(subject, schema)
          .catch((error: unknown) => {
            if (!isIncompatibleSchema(error)) throw error;
            return registry.registerIncompatible(subject, schema);
          })
          .catch(() => undefined);
      }
      return [...new Set(lost.map(({ subject }) => subject))];
    },
    fetch: (id) => remember(schemas, id, () => measure('fetch', () => fetchSchema(address, id))),
    forget(id) {
      schemas.delete(id);
      // The package keeps what it has decoded with.
      client = connect();
    },
    latest: (subject) => measure('fetch', () => fetchLatest(address, subject)),
    encode: (id, value) => client.encode(id, value),
    decode: (message) => client.decode(message),
  };
  return registry;
}

interface Registration extends RegisteredSchema {
  readonly subject: string;
  readonly schema: AvroSchemaJson;
  id: number;
}

const cacheKeyOf = (subject: string, schema: AvroSchemaJson) => `${subject}\n${JSON.stringify(schema)}`;

async function filterAsync<T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<T[]> {
  const found: T[] = [];
  for (const item of items) if (await test(item)) found.push(item);
  return found;
}

/** Whether the registry has the schema under its ID, and no other one: an emptied registry gives its IDs again. */
async function isStill(address: RegistryAddress, { id, schema }: Registration): Promise<boolean> {
  const found = await findSchema(address, id);
  return found !== undefined && recordOf(found) === recordOf(schema);
}

/** What a registry leaves as it is, however it writes a schema down. */
function recordOf({ namespace, name, fields = [] }: AvroSchemaJson): string {
  return JSON.stringify([namespace, name, (fields as { name: string }[]).map((field) => field.name)]);
}

/** In all some four seconds, which is many times what another process takes for its two steps. */
const MAX_ATTEMPTS = 10;
const ATTEMPT_STEP_MS = 80;
/** By then a process that was between the two steps has finished, or has died there. */
const REPAIR_AFTER_ATTEMPTS = 5;

/**
 * The first registration under a subject takes two steps, the schema and then the subject's mode. Processes that do it
 * at the same time get in each other's way between them, and one that dies there leaves the subject without a mode:
 * so it is tried again, and in the end `repair` sets the mode.
 */
async function outlastOthers<T>(register: () => Promise<T>, repair: () => Promise<void>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await register();
    } catch (error) {
      if (!isInterference(error) || attempt >= MAX_ATTEMPTS) throw error;
      if (attempt === REPAIR_AFTER_ATTEMPTS) await repair();
      await sleep(ATTEMPT_STEP_MS * attempt);
    }
  }
}

/** The mode is not there yet, or came to be there while we set it. A refused schema has another address in its error. */
function isInterference(error: unknown): boolean {
  const { name, status, url } = error as { name?: unknown; status?: unknown; url?: unknown };
  return (
    name === 'ConfluentSchemaRegistryCompatibilityError' ||
    (status === 409 && String(url).includes('/config/'))
  );
}

/** Whether a registration failed because the schema can't read what the subject already holds. */
export function isIncompatibleSchema(error: unknown): boolean {
  return (error as { status?: unknown } | null)?.status === 409;
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

/** Runs work with at most `max` at once, in the order of the calls. */
export function createLimit(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < max) running += 1;
    // A request that ends hands its place on.
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
