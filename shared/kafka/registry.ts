import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { type Secret, SecretUrl } from '../runtime/env.ts';
import { defineMetrics, type Metrics } from '../runtime/metrics.ts';
import { sleep } from '../runtime/sleep.ts';

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
  /**
   * Registers a schema also where it can't read what the subject's earlier versions wrote: the source's column has
   * changed its type, and that is not ours to refuse. Readers that decode by the ID in each message are not touched.
   */
  registerIncompatible(subject: string, schema: AvroSchemaJson): Promise<number>;
  /** The schema of an ID exactly as it was registered, with our own properties; kept after the first call. */
  fetch(id: number): Promise<AvroSchemaJson>;
  /** The newest schema of a subject, or undefined when nothing was registered under it. Each call asks the registry. */
  latest(subject: string): Promise<AvroSchemaJson | undefined>;
  /** Encoding and decoding of small messages through Avro's general library. Rows and changes have their own codec in `values/`. */
  encode(id: number, value: unknown): Promise<Buffer>;
  decode(message: Buffer): Promise<unknown>;
}

/** Where a registry is, and what it wants to see: fetch takes no URL with a login. */
interface RegistryAddress {
  readonly base: string;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
}

function readAddress(text: string): RegistryAddress {
  const url = URL.parse(text);
  if (url === null || (url.username === '' && url.password === '')) {
    return { base: text.replace(/\/$/, ''), auth: undefined };
  }
  const auth = { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  url.username = '';
  url.password = '';
  return { base: url.href.replace(/\/$/, ''), auth };
}

const OPERATIONS = ['register', 'fetch'] as const;

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
  const client = new SchemaRegistry({
    host: base,
    ...(auth === undefined ? {} : { auth }),
    retry: { retries: 10, initialRetryTimeInSecs: 0.1 },
  });
  const limit = createLimit(MAX_REGISTRATIONS);
  const ids = new Map<string, Promise<number>>();
  const schemas = new Map<number, Promise<AvroSchemaJson>>();
  return {
    register(subject, schema) {
      const text = JSON.stringify(schema);
      const cacheKey = `${subject}\n${text}`;
      const registration = async () => {
        const register = () =>
          client.register(
            { type: SchemaType.AVRO, schema: text },
            { subject, compatibility: COMPATIBILITY.BACKWARD },
          );
        const repair = () => setCompatibility(address, subject, COMPATIBILITY.BACKWARD);
        return (await outlastOthers(register, repair)).id;
      };
      return remember(ids, cacheKey, () => limit(() => measure('register', registration)));
    },
    async registerIncompatible(subject, schema) {
      await setCompatibility(address, subject, COMPATIBILITY.NONE);
      try {
        return await measure('register', () => registerUnchecked(address, subject, schema));
      } finally {
        await setCompatibility(address, subject, COMPATIBILITY.BACKWARD);
      }
    },
    fetch: (id) => remember(schemas, id, () => measure('fetch', () => fetchSchema(address, id))),
    latest: (subject) => measure('fetch', () => fetchLatest(address, subject)),
    encode: (id, value) => client.encode(id, value),
    decode: (message) => client.decode(message),
  };
}

/** In all some four seconds, which is many times what another process takes for its two steps. */
const MAX_ATTEMPTS = 10;
const ATTEMPT_STEP_MS = 80;
/** By then whoever was between the two steps is through, or has died there. */
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

/** The package returns a parsed type without the properties that only we read, so the text is fetched as it is. */
async function fetchSchema(address: RegistryAddress, id: number): Promise<AvroSchemaJson> {
  const response = await ask(address, `/schemas/ids/${id}`);
  if (!response.ok)
    throw new Error(`the schema registry returned status ${response.status} for schema ${id}`);
  const body = (await response.json()) as { schema: string };
  return JSON.parse(body.schema) as AvroSchemaJson;
}

async function setCompatibility(
  address: RegistryAddress,
  subject: string,
  compatibility: COMPATIBILITY,
): Promise<void> {
  await sendToRegistry(address, 'PUT', `/config/${encodeURIComponent(subject)}`, { compatibility });
}

async function registerUnchecked(
  address: RegistryAddress,
  subject: string,
  schema: AvroSchemaJson,
): Promise<number> {
  const body = { schema: JSON.stringify(schema) };
  const path = `/subjects/${encodeURIComponent(subject)}/versions`;
  const answer = await sendToRegistry(address, 'POST', path, body);
  return (answer as { id: number }).id;
}

async function sendToRegistry(
  address: RegistryAddress,
  method: 'POST' | 'PUT',
  path: string,
  body: unknown,
): Promise<unknown> {
  const response = await ask(address, path, { method, body: JSON.stringify(body) });
  if (!response.ok)
    throw new Error(`the schema registry returned status ${response.status} to ${method} ${path}`);
  return response.json();
}

function ask({ base, auth }: RegistryAddress, path: string, init: RequestInit = {}): Promise<Response> {
  const login = auth && Buffer.from(`${auth.username}:${auth.password}`).toString('base64');
  return fetch(`${base}${path}`, {
    ...init,
    headers: {
      ...(init.body == null ? {} : { 'content-type': 'application/vnd.schemaregistry.v1+json' }),
      ...(login === undefined ? {} : { authorization: `Basic ${login}` }),
    },
    signal: AbortSignal.timeout(10_000),
  });
}

/** What a registry says of itself. `mode` is undefined where it has none. */
export interface RegistryState {
  readonly compatibility: string;
  readonly mode: string | undefined;
  readonly subjects: readonly string[];
}

/** Reads only. @throws when the registry does not respond, or refuses */
export async function readRegistryState(url: Secret): Promise<RegistryState> {
  const address = readAddress(url.reveal());
  const read = async (path: string): Promise<unknown> => {
    const response = await ask(address, path);
    if (response.ok) return response.json();
    await response.body?.cancel();
    throw new Error(`the schema registry returned status ${response.status} to GET ${path}`);
  };
  const subjects = (await read('/subjects')) as string[];
  const { compatibilityLevel } = (await read('/config')) as { compatibilityLevel?: string };
  const mode = await read('/mode').then(
    (found) => (found as { mode?: string }).mode,
    () => undefined,
  );
  return { compatibility: compatibilityLevel ?? 'unknown', mode, subjects };
}

/** Whether a registration failed because the schema can't read what the subject already holds. */
export function isIncompatibleSchema(error: unknown): boolean {
  return (error as { status?: unknown } | null)?.status === 409;
}

async function fetchLatest(address: RegistryAddress, subject: string): Promise<AvroSchemaJson | undefined> {
  const response = await ask(address, `/subjects/${encodeURIComponent(subject)}/versions/latest`);
  if (response.status === 404) return undefined;
  if (!response.ok)
    throw new Error(`the schema registry returned status ${response.status} for subject ${subject}`);
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

/** Runs work with at most `max` at once, in the order of the calls. */
export function createLimit(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < max) running += 1;
    // Whoever leaves hands its place on.
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
