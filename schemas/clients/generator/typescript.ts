import { type ClientModel, type Operation, refName, type Schema } from './document.ts';

/** The types and operations of the TypeScript client, as source text. */
export function typescriptOf({ operations, schemas }: ClientModel): string {
  const types = [...schemas].map(([name, schema]) => declare(name, schema, schemas));
  const typed = operations.map((operation) => operationType(operation, schemas));
  const table = operations.map(
    ({ id, method, path, bodyType, creates, takesAccount }) =>
      `  ${id}: ${JSON.stringify({ method, path, bodyType, creates, takesAccount })},`,
  );
  return [
    '// Written by `npm run clients` from the OpenAPI document. Do not edit.',
    ...types,
    `export interface Operations {\n${typed.join('\n')}\n}`,
    'export type OperationId = keyof Operations;',
    '/** Where each operation is, and what its request carries. */',
    `export const OPERATIONS: { readonly [Id in OperationId]: OperationFacts } = {\n${table.join('\n')}\n};`,
    'export interface OperationFacts {',
    '  readonly method: string;',
    '  readonly path: string;',
    '  readonly bodyType: string | null;',
    '  /** It takes an Idempotency-Key. */',
    '  readonly creates: boolean;',
    '  /** The operator names the account in the query. */',
    '  readonly takesAccount: boolean;',
    '}',
    '',
  ].join('\n');
}

type Schemas = ReadonlyMap<string, Schema>;

function declare(name: string, schema: Schema, schemas: Schemas): string {
  return `${comment(schema, '')}export type ${name} = ${typeOf(schema, schemas, '')};`;
}

function operationType({ id, summary, params, query, body, responses }: Operation, schemas: Schemas): string {
  const of = (schema: Schema | undefined) =>
    schema === undefined ? 'undefined' : typeOf(schema, schemas, '    ');
  const response = [...new Set(responses.map((each) => of(each)))].join(' | ');
  return [
    `  /** ${summary} */`,
    `  ${id}: {`,
    `    params: ${params.length === 0 ? 'undefined' : `{ ${params.map((name) => `${name}: string`).join('; ')} }`};`,
    `    query: ${of(query)};`,
    `    body: ${of(body)};`,
    `    response: ${response === '' ? 'undefined' : response};`,
    '  };',
  ].join('\n');
}

function typeOf(schema: Schema, schemas: Schemas, indent: string): string {
  const of = (each: Schema) => typeOf(each, schemas, indent);
  if (schema.$ref !== undefined) return schemas.has(refName(schema.$ref)) ? refName(schema.$ref) : 'unknown';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const union = schema.anyOf ?? schema.oneOf;
  if (union !== undefined) return unionOf(union.map(of));
  if (schema.allOf !== undefined) return schema.allOf.map(of).join(' & ');
  if (Array.isArray(schema.type)) {
    return unionOf(schema.type.map((type: string) => of({ ...schema, type })));
  }
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'number':
    case 'integer':
      return 'number';
    case 'array':
      return `readonly (${schema.items === undefined ? 'unknown' : of(schema.items)})[]`;
    case 'object':
      return objectType(schema, schemas, indent);
    default:
      return schema.properties === undefined ? 'unknown' : objectType(schema, schemas, indent);
  }
}

function unionOf(types: readonly string[]): string {
  return [...new Set(types)].join(' | ');
}

function objectType(schema: Schema, schemas: Schemas, indent: string): string {
  const { properties = {}, required = [], additionalProperties: rest } = schema;
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, property]) => {
    const isRequired = required.includes(name);
    const type = typeOf(property, schemas, inner);
    const optional = isRequired ? type : `${type} | undefined`;
    return `${comment(property, inner)}${inner}readonly ${name}${isRequired ? '' : '?'}: ${optional};`;
  });
  if (lines.length > 0) return `{\n${lines.join('\n')}\n${indent}}`;
  const value =
    typeof rest === 'object' && Object.keys(rest).length > 0 ? typeOf(rest, schemas, inner) : 'unknown';
  return `Readonly<Record<string, ${value}>>`;
}

function comment({ description }: Schema, indent: string): string {
  if (description === undefined) return '';
  const lines = description.replaceAll('*/', '* /').split('\n');
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}
