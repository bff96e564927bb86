import { type ClientModel, type Operation, refName, type Schema } from './document.ts';

/** What the methods take as keyword arguments: a request without what they set themselves. */
const REQUESTS: Readonly<Record<string, { readonly of: string; readonly without: readonly string[] }>> = {
  ExportRequest: { of: 'CreateExportRequest', without: ['dry_run', 'account_id'] },
  BulkRequest: { of: 'CreateBulkOperationRequest', without: ['async', 'dry_run', 'account_id'] },
  WebhookRequest: { of: 'CreateWebhookRequest', without: ['account_id'] },
  WebhookChange: { of: 'UpdateWebhookRequest', without: ['account_id'] },
};

/** The types and operations of the Python client, as source text. */
export function pythonOf(model: ClientModel): string {
  const writer = createWriter(model);
  for (const [name, schema] of model.schemas) writer.declare(name, schema);
  for (const [name, { of, without }] of Object.entries(REQUESTS)) {
    writer.declare(name, withoutMembers(model.schemas.get(of) ?? {}, without));
  }
  for (const { id, query } of model.operations) {
    if (query !== undefined) writer.declare(`${pascal(id)}Query`, asArguments(query));
  }
  const table = model.operations.map(
    (operation) => `    ${JSON.stringify(operation.id)}: ${factsOf(operation)},`,
  );
  return [
    '# Written by `npm run clients` from the OpenAPI document. Do not edit.',
    'from __future__ import annotations',
    '',
    'from typing import Any, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict',
    '',
    ...writer.declarations,
    '',
    'class Operation(NamedTuple):',
    '    method: str',
    '    path: str',
    '    body_type: str | None',
    '    #: It takes an Idempotency-Key.',
    '    creates: bool',
    '    #: The operator names the account in the query.',
    '    takes_account: bool',
    '',
    '',
    '#: Where each operation is, and what its request carries.',
    'OPERATIONS: dict[str, Operation] = {',
    ...table,
    '}',
    '',
  ].join('\n');
}

function factsOf({ method, path, bodyType, creates, takesAccount }: Operation): string {
  const type = bodyType === null ? 'None' : JSON.stringify(bodyType);
  return `Operation("${method}", "${path}", ${type}, ${boolean(creates)}, ${boolean(takesAccount)})`;
}

function boolean(value: boolean): string {
  return value ? 'True' : 'False';
}

function withoutMembers(schema: Schema, without: readonly string[]): Schema {
  const properties = Object.entries(schema.properties ?? {}).filter(([name]) => !without.includes(name));
  return { ...schema, properties: Object.fromEntries(properties) };
}

/** A keyword cannot name an argument: `from` becomes `from_`. */
function asArguments(query: Schema): Schema {
  const properties = Object.entries(query.properties ?? {}).map(
    ([name, schema]) => [KEYWORDS.has(name) ? `${name}_` : name, schema] as const,
  );
  return { ...query, properties: Object.fromEntries(properties) };
}

/** Python names every object, so those inside others get names of their own. */
function createWriter({ schemas }: ClientModel) {
  const declarations: string[] = [];

  const declare = (name: string, schema: Schema): void => {
    if (schema.properties !== undefined && Object.keys(schema.properties).length > 0) {
      declareObject(name, schema);
    } else {
      declarations.push(`${name}: TypeAlias = ${JSON.stringify(typeOf(schema, name))}\n`);
    }
  };

  const declareObject = (name: string, { properties = {}, required = [], description }: Schema): void => {
    const members = Object.entries(properties).map(([member, schema]) => {
      const type = typeOf(schema, name + pascal(member));
      return { member, type: required.includes(member) ? type : `NotRequired[${type}]`, schema };
    });
    // A class cannot have a member such as `from`.
    if (members.some(({ member }) => KEYWORDS.has(member))) {
      const lines = members.map(
        ({ member, type }) => `        ${JSON.stringify(member)}: ${JSON.stringify(type)},`,
      );
      declarations.push(`${name} = TypedDict(\n    "${name}",\n    {\n${lines.join('\n')}\n    },\n)\n`);
      return;
    }
    const lines = members.map(({ member, type, schema }) => `${comment(schema)}    ${member}: ${type}`);
    const text = description === undefined ? '' : `    """${docText(description)}"""\n\n`;
    declarations.push(`\nclass ${name}(TypedDict):\n${text}${lines.join('\n')}\n`);
  };

  const typeOf = (schema: Schema, name: string): string => {
    if (schema.$ref !== undefined) return schemas.has(refName(schema.$ref)) ? refName(schema.$ref) : 'Any';
    if (schema.const !== undefined) return `Literal[${literal(schema.const)}]`;
    if (schema.enum !== undefined) return `Literal[${schema.enum.map(literal).join(', ')}]`;
    const union = schema.anyOf ?? schema.oneOf;
    if (union !== undefined) {
      const hasOneObject = union.filter(({ properties }) => properties !== undefined).length <= 1;
      return unionOf(union.map((each, index) => typeOf(each, hasOneObject ? name : `${name}${index + 1}`)));
    }
    if (schema.allOf !== undefined) return 'dict[str, Any]';
    if (Array.isArray(schema.type)) {
      return unionOf(schema.type.map((type: string) => typeOf({ ...schema, type }, name)));
    }
    switch (schema.type) {
      case 'string':
        return 'str';
      case 'boolean':
        return 'bool';
      case 'null':
        return 'None';
      case 'integer':
        return 'int';
      case 'number':
        return 'float';
      case 'array':
        return `list[${schema.items === undefined ? 'Any' : typeOf(schema.items, `${name}Item`)}]`;
      default:
        return objectType(schema, name);
    }
  };

  const objectType = (schema: Schema, name: string): string => {
    if (schema.properties !== undefined && Object.keys(schema.properties).length > 0) {
      declareObject(name, schema);
      return name;
    }
    if (schema.type !== 'object') return 'Any';
    const { additionalProperties: rest } = schema;
    const value =
      typeof rest === 'object' && Object.keys(rest).length > 0 ? typeOf(rest, `${name}Value`) : 'Any';
    return `dict[str, ${value}]`;
  };

  return { declarations, declare };
}

const KEYWORDS = new Set([
  'from',
  'async',
  'class',
  'import',
  'in',
  'is',
  'not',
  'or',
  'and',
  'global',
  'pass',
]);

function unionOf(types: readonly string[]): string {
  return [...new Set(types)].join(' | ');
}

function literal(value: unknown): string {
  return typeof value === 'boolean' ? boolean(value) : JSON.stringify(value);
}

function pascal(name: string): string {
  return name
    .split(/[_\W]/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

function comment({ description }: Schema): string {
  if (description === undefined) return '';
  return `${description
    .split('\n')
    .map((line) => `    #: ${line}`.trimEnd())
    .join('\n')}\n`;
}

function docText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"""', '\\"""');
}
