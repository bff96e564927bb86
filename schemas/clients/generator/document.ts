/** A JSON Schema of the document, as far as the generators read it. */
export interface Schema {
  readonly $ref?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Schema;
  readonly description?: string;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface OperationObject {
  readonly operationId: string;
  readonly summary?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** An operation, as the clients call it. */
export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly method: string;
  readonly path: string;
  readonly params: readonly string[];
  /** An object of the query's parameters; undefined when there are none. */
  readonly query: Schema | undefined;
  readonly bodyType: string | null;
  readonly body: Schema | undefined;
  readonly responses: readonly Schema[];
  /** It takes an Idempotency-Key. */
  readonly creates: boolean;
  /** The operator names the account in the query. */
  readonly takesAccount: boolean;
}

/** What the generators make clients from. */
export interface ClientModel {
  readonly operations: readonly Operation[];
  /** In the order of the document, without those of one catalog's records. */
  readonly schemas: ReadonlyMap<string, Schema>;
}

/**
 * Reads the operator's document, which has all operations and parameters. The document describes one catalog; the
 * clients are for any, so the names of its resources become texts, and its event bodies are left out.
 */
export function readDocument(document: OpenApiDocument): ClientModel {
  const generalize = generalizer(document);
  const schemas = Object.entries(document.components.schemas)
    .filter(([name]) => !isOfOneCatalog(name))
    .map(([name, schema]) => [name, generalize(schema)] as const);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => readOperation(method, path, operation, generalize)),
  );
  return { operations, schemas: new Map(schemas) };
}

function isOfOneCatalog(name: string): boolean {
  return /Event(Output|Batch)?$/.test(name) || name === 'OpenApiDocument';
}

function generalizer({ components }: OpenApiDocument): (schema: Schema) => Schema {
  const names = new Set(components.schemas.CreateExportRequest?.properties?.resource?.enum ?? []);
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    const { enum: values, ...rest } = value as { enum?: readonly unknown[] };
    const isNames = Array.isArray(values) && values.length > 0 && values.every((each) => names.has(each));
    const members = Object.entries(isNames ? rest : value).map(([name, member]) => [name, visit(member)]);
    return Object.fromEntries(members);
  };
  return (schema) => visit(schema) as Schema;
}

function readOperation(
  method: string,
  path: string,
  { operationId: id, summary = '', parameters = [], requestBody, responses }: OperationObject,
  generalize: (schema: Schema) => Schema,
): Operation {
  const ofPlace = (place: string) => parameters.filter((parameter) => parameter.in === place);
  const isAccount = ({ name }: Parameter) => name === 'account_id' && !path.startsWith('/admin/');
  const query = ofPlace('query').filter((parameter) => !isAccount(parameter));
  const [bodyType = null] = Object.keys(requestBody?.content ?? {});
  const body = bodyType === null ? undefined : requestBody?.content[bodyType]?.schema;
  const successes = Object.entries(responses).filter(([status]) => /^2/.test(status));
  const found = successes.flatMap(([, { content = {} }]) => content['application/json']?.schema ?? []);
  return {
    id,
    summary,
    method: method.toUpperCase(),
    path,
    params: ofPlace('path').map(({ name }) => name),
    query: query.length === 0 ? undefined : generalize(queryObject(query)),
    bodyType,
    body: body && generalize(body),
    responses: found.map(generalize),
    creates: ofPlace('header').some(({ name }) => name === 'Idempotency-Key'),
    takesAccount: ofPlace('query').some(isAccount),
  };
}

function queryObject(parameters: readonly Parameter[]): Schema {
  return {
    type: 'object',
    properties: Object.fromEntries(
      parameters.map(({ name, schema, description }) => [
        name,
        description === undefined ? schema : { ...schema, description },
      ]),
    ),
    required: parameters.filter(({ required }) => required === true).map(({ name }) => name),
    additionalProperties: false,
  };
}

export function refName(ref: string): string {
  return ref.slice(ref.lastIndexOf('/') + 1);
}
