import { isDeepStrictEqual } from 'node:util';

/** A JSON object of an OpenAPI document. */
// biome-ignore lint/suspicious/noExplicitAny: documents are read freely.
export type Json = Record<string, any>;

/** What clients that were written for an earlier document can no longer rely on. */
export interface BreakingChange {
  /** The `operationId`, or the event type of a webhook. */
  readonly operation: string;
  /** The field, parameter, status or header. Empty: the operation itself. */
  readonly place: string;
  readonly what: string;
}

/** Requests may only become more tolerant, and responses may only promise more. */
type Direction = 'request' | 'response';

const METHODS = ['get', 'put', 'post', 'patch', 'delete'];

/** Compares two OpenAPI documents. What is only added is no change that breaks anything. */
export function findBreakingChanges(before: Json, after: Json): BreakingChange[] {
  const found: BreakingChange[] = [];
  for (const kind of ['paths', 'webhooks']) {
    for (const [path, item] of Object.entries<Json>(before[kind] ?? {})) {
      for (const method of METHODS.filter((name) => name in item)) {
        const old = item[method] as Json;
        const now = after[kind]?.[path]?.[method] as Json | undefined;
        const operation = kind === 'webhooks' ? path : String(old.operationId);
        const report = (place: string, what: string) => found.push({ operation, place, what });
        if (now === undefined) report('', 'is gone');
        else compareOperations({ before, after, report }, old, now, kind === 'webhooks');
      }
    }
  }
  return found;
}

interface Comparison {
  readonly before: Json;
  readonly after: Json;
  report(place: string, what: string): void;
}

function compareOperations(documents: Comparison, old: Json, now: Json, isSent: boolean): void {
  const { before, after, report } = documents;
  if (old.operationId !== now.operationId) report('', `is now called ${now.operationId}`);
  const scopes = (operation: Json): string[] =>
    (operation.security ?? []).flatMap((each: Json) => each.key ?? []);
  for (const scope of scopes(now).filter((each) => !scopes(old).includes(each)))
    report(scope, 'is needed too');

  const [oldParameters, parameters] = [parametersOf(before, old), parametersOf(after, now)];
  for (const [name, parameter] of oldParameters) {
    const same = parameters.get(name);
    if (same === undefined) report(name, 'is gone');
    else compareSchemas(documents, isSent ? 'response' : 'request', parameter.schema, same.schema, name);
  }
  for (const [name, { required }] of isSent ? [] : parameters) {
    if (required === true && oldParameters.get(name)?.required !== true) report(name, 'is now required');
  }

  compareContents(documents, isSent ? 'response' : 'request', old.requestBody, now.requestBody, '');
  for (const [status, reference] of isSent ? [] : Object.entries<Json>(old.responses ?? {})) {
    if (!/^[23]/.test(status)) continue;
    const response = resolve(before, reference);
    const same = resolve(after, now.responses?.[status]);
    if (same === undefined) {
      report(status, 'is gone');
      continue;
    }
    for (const name of Object.keys(response?.headers ?? {})) {
      if (same.headers?.[name] === undefined) report(name, `is gone from ${status}`);
    }
    compareContents(documents, 'response', response, same, status);
  }
}

function parametersOf(document: Json, operation: Json): Map<string, Json> {
  const all = ((operation.parameters ?? []) as Json[]).flatMap((each) => resolve(document, each) ?? []);
  return new Map(all.map((parameter) => [String(parameter.name), parameter]));
}

function compareContents(
  documents: Comparison,
  direction: Direction,
  old: Json | undefined,
  now: Json | undefined,
  place: string,
): void {
  for (const [type, { schema }] of Object.entries<Json>(old?.content ?? {})) {
    const same = now?.content?.[type];
    if (same === undefined) documents.report(place === '' ? type : place, `${type} is gone`);
    else compareSchemas(documents, direction, schema, same.schema, '');
  }
}

/** `known` holds the pairs that are compared already, since schemas may lead to themselves. */
function compareSchemas(
  documents: Comparison,
  direction: Direction,
  oldReference: Json | undefined,
  reference: Json | undefined,
  place: string,
  known: ReadonlySet<string> = new Set(),
): void {
  const { before, after, report } = documents;
  const pair = `${oldReference?.$ref} ${reference?.$ref}`;
  if (oldReference?.$ref !== undefined && known.has(pair)) return;
  const seen = new Set([...known, pair]);
  const [old, now] = [resolve(before, oldReference) ?? {}, resolve(after, reference) ?? {}];
  const [narrow, wide] = direction === 'request' ? [old, now] : [now, old];
  const at = place === '' ? 'body' : place;

  const missing = typesOf(narrow).filter((type) => !accepts(typesOf(wide), type));
  if (missing.length > 0)
    report(at, `has the types ${typesOf(now).join(' or ')} instead of ${typesOf(old).join(' or ')}`);
  compareValues(direction, old, now, (what) => report(at, what));

  for (const [name, schema] of Object.entries<Json>(old.properties ?? {})) {
    const field = place === '' ? name : `${place}.${name}`;
    const same = now.properties?.[name];
    if (same === undefined) report(field, 'is gone');
    else compareSchemas(documents, direction, schema, same, field, seen);
  }
  const [oldRequired, required]: string[][] = [old.required ?? [], now.required ?? []];
  const changed =
    direction === 'request'
      ? (required ?? []).filter((name) => !oldRequired?.includes(name))
      : (oldRequired ?? []).filter((name) => !required?.includes(name) && name in (now.properties ?? {}));
  for (const name of changed) {
    report(
      place === '' ? name : `${place}.${name}`,
      direction === 'request' ? 'is now required' : 'may now be absent',
    );
  }
  if (old.items !== undefined) compareSchemas(documents, direction, old.items, now.items, place, seen);
  compareVariants(documents, direction, old, now, place, seen);
}

/** Each variant on the narrow side must be one of the wide side, or fit one of them. */
function compareVariants(
  documents: Comparison,
  direction: Direction,
  old: Json,
  now: Json,
  place: string,
  seen: ReadonlySet<string>,
): void {
  const variants = (schema: Json): Json[] => schema.anyOf ?? schema.oneOf ?? [];
  if (variants(old).length === 0) return;
  const [narrow, wide] = direction === 'request' ? [old, now] : [now, old];
  const fits = (variant: Json, other: Json) => {
    const faults: string[] = [];
    const quiet = { ...documents, report: (_: string, what: string) => faults.push(what) };
    const [left, right] = direction === 'request' ? [variant, other] : [other, variant];
    compareSchemas(quiet, direction, left, right, place, seen);
    return faults.length === 0;
  };
  const all = variants(wide).length > 0 ? variants(wide) : [wide];
  const unfit = variants(narrow).filter((variant) => !all.some((other) => fits(variant, other)));
  if (unfit.length > 0) documents.report(place === '' ? 'body' : place, 'has other variants');
}

/** Limits of a value. New values of a response are none of these: clients ignore what they do not know. */
function compareValues(direction: Direction, old: Json, now: Json, report: (what: string) => void): void {
  if (direction === 'response') return;
  const values = (schema: Json): unknown[] | undefined =>
    schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  const [oldValues, newValues] = [values(old), values(now)];
  if (newValues !== undefined) {
    if (oldValues === undefined) report('takes only certain values now');
    const gone = (oldValues ?? []).filter(
      (value) => !newValues.some((each) => isDeepStrictEqual(each, value)),
    );
    if (gone.length > 0) report(`no longer takes ${gone.join(', ')}`);
  }
  for (const name of ['maximum', 'maxLength', 'maxItems', 'maxProperties']) {
    if (now[name] < (old[name] ?? Number.POSITIVE_INFINITY)) report(`has a lower ${name}`);
  }
  for (const name of ['minimum', 'minLength', 'minItems', 'minProperties']) {
    if (now[name] > (old[name] ?? Number.NEGATIVE_INFINITY)) report(`has a higher ${name}`);
  }
  if (now.pattern !== undefined && now.pattern !== old.pattern) report('has another pattern');
  if (now.additionalProperties === false && old.additionalProperties !== false)
    report('takes no other fields now');
}

/** Empty: any type. */
function typesOf({ type, enum: values, const: value }: Json): string[] {
  if (type !== undefined) return [type].flat();
  const given = values ?? (value === undefined ? [] : [value]);
  return [...new Set<string>(given.map((each: unknown) => (each === null ? 'null' : typeof each)))];
}

function accepts(types: readonly string[], type: string): boolean {
  return types.length === 0 || types.includes(type) || (type === 'integer' && types.includes('number'));
}

function resolve(document: Json, reference: Json | undefined): Json | undefined {
  if (typeof reference?.$ref !== 'string') return reference;
  const steps = reference.$ref.slice(2).split('/');
  return resolve(
    document,
    steps.reduce<Json | undefined>((part, step) => part?.[step], document),
  );
}

/** The changes that the changelog does not name: in one entry, the operation and the place, each in backticks. */
export function findUnnamed(changes: readonly BreakingChange[], changelog: string): BreakingChange[] {
  const [, unreleased = ''] = changelog.split(/^## /m);
  const entries = unreleased.split(/^- /m);
  return changes.filter(
    ({ operation, place }) =>
      !entries.some((entry) =>
        [operation, place].every((name) => name === '' || entry.includes(`\`${name}\``)),
      ),
  );
}
