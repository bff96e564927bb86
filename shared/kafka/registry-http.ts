import type { COMPATIBILITY } from '@kafkajs/confluent-schema-registry';
import type { Secret } from '../runtime/env.ts';

// What the registry's package does not do, or does in another way.

const NOT_FOUND = 404;

type AvroSchemaJson = Readonly<Record<string, unknown>>;

/** Where a registry is, and what it wants to see: fetch takes no URL with a login. */
export interface RegistryAddress {
  readonly base: string;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
}

export function readAddress(text: string): RegistryAddress {
  const url = URL.parse(text);
  if (url === null || (url.username === '' && url.password === '')) {
    return { base: text.replace(/\/$/, ''), auth: undefined };
  }
  const auth = { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  url.username = '';
  url.password = '';
  return { base: url.href.replace(/\/$/, ''), auth };
}

export async function fetchSchema(address: RegistryAddress, id: number): Promise<AvroSchemaJson> {
  const schema = await findSchema(address, id);
  if (schema !== undefined) return schema;
  throw new Error(`the schema registry has no schema ${id}: it was emptied, or restored from older data`);
}

/** The package returns a parsed type without the properties that only we read, so the text is fetched as it is. */
export async function findSchema(address: RegistryAddress, id: number): Promise<AvroSchemaJson | undefined> {
  const response = await ask(address, `/schemas/ids/${id}`);
  if (response.ok) {
    const body = (await response.json()) as { schema: string };
    return JSON.parse(body.schema) as AvroSchemaJson;
  }
  await response.body?.cancel();
  if (response.status === NOT_FOUND) return undefined;
  throw new Error(`the schema registry returned status ${response.status} for schema ${id}`);
}

export async function setCompatibility(
  address: RegistryAddress,
  subject: string,
  compatibility: COMPATIBILITY,
): Promise<void> {
  await sendToRegistry(address, 'PUT', `/config/${encodeURIComponent(subject)}`, { compatibility });
}

export async function registerUnchecked(
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

export async function fetchLatest(
  address: RegistryAddress,
  subject: string,
): Promise<AvroSchemaJson | undefined> {
  const response = await ask(address, `/subjects/${encodeURIComponent(subject)}/versions/latest`);
  if (response.status === NOT_FOUND) return undefined;
  if (!response.ok)
    throw new Error(`the schema registry returned status ${response.status} for subject ${subject}`);
  const body = (await response.json()) as { schema: string };
  return JSON.parse(body.schema) as AvroSchemaJson;
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
