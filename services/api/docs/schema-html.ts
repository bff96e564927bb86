import { type Content, type Html, html } from '../pages/html.ts';
import {
  type ApiDocument,
  componentName,
  type Header,
  type Parameter,
  resolve,
  type Schema,
} from './document.ts';
import { renderInline, type ToHref } from './markdown.ts';

/** What the parts of a reference page share. */
export interface Reference {
  readonly document: ApiDocument;
  /** The path of a page or of a target in a text. */
  readonly toHref: ToHref;
}

/** Deeper objects are a link to their schema, or shown as an object. */
const MAX_DEPTH = 4;

const MAX_VALUES = 40;

/** The members of an object, each with its type, what it means and its limits. */
export function membersHtml(reference: Reference, schema: Schema, depth = 0): Html | null {
  const members = membersOf(reference.document, schema);
  if (members.length === 0) return null;
  return html`<dl class="members">${members.map(({ name, schema: member, isRequired }) =>
    memberHtml(reference, { name, schema: member, isRequired, depth }),
  )}</dl>`;
}

interface Member {
  readonly name: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
}

function membersOf(document: ApiDocument, schema: Schema): Member[] {
  const whole = resolve(document, schema);
  const inherited = (whole.allOf ?? []).flatMap((part) => membersOf(document, part));
  const own = Object.entries(whole.properties ?? {}).map(([name, member]) => ({
    name,
    schema: member,
    isRequired: whole.required?.includes(name) === true,
  }));
  return [...inherited, ...own];
}

function memberHtml(
  reference: Reference,
  { name, schema, isRequired, depth }: Member & { depth: number },
): Html {
  return html`<div><dt><code>${name}</code> <span class="type">${typeHtml(reference, schema)}</span>${
    isRequired ? html` <span class="required">required</span>` : null
  }</dt>
<dd>${descriptionHtml(reference, schema)}${factsHtml(schema)}${innerHtml(reference, schema, depth)}</dd></div>
`;
}

/** Parameters of a request, or headers, in the same form as members. */
export function parametersHtml(
  reference: Reference,
  parameters: readonly (Header & Pick<Parameter, 'name'>)[],
  showsRequired = true,
): Html {
  return html`<dl class="members">${parameters.map((parameter) => {
    const schema = parameter.schema ?? {};
    return html`<div><dt><code>${parameter.name}</code> <span class="type">${typeHtml(reference, schema)}</span>${
      showsRequired && parameter.required === true ? html` <span class="required">required</span>` : null
    }</dt>
<dd>${descriptionHtml(reference, { description: parameter.description ?? schema.description ?? '' })}${factsHtml(schema)}</dd></div>
`;
  })}</dl>`;
}

function descriptionHtml({ toHref }: Reference, { description = '' }: Schema): Html | null {
  return description === '' ? null : html`<p>${renderInline(description, toHref)}</p>`;
}

/** The limits of a value, and the values that it may have. */
function factsHtml(schema: Schema): Html | null {
  const facts: Content[] = [];
  const say = (label: string, value: unknown) => {
    if (value !== undefined) facts.push(html`${label} <code>${JSON.stringify(value)}</code>`);
  };
  const values = schema.enum ?? (schema.items?.enum as readonly unknown[] | undefined);
  if (values !== undefined) facts.push(valuesHtml(values));
  say('default', schema.default);
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  if (isBound(minimum) || isBound(maximum)) facts.push(rangeText('', minimum, maximum));
  if (isBound(minLength) || isBound(maxLength)) facts.push(rangeText(' characters', minLength, maxLength));
  if (isBound(minItems) || isBound(maxItems)) facts.push(rangeText(' items', minItems, maxItems));
  if (facts.length === 0) return null;
  return html`<p class="facts">${facts.map((fact, index) => [index === 0 ? null : ' · ', fact])}</p>`;
}

function valuesHtml(values: readonly unknown[]): Html {
  const shown = values.slice(0, MAX_VALUES);
  return html`one of ${shown.map((value, index) => [index === 0 ? null : ' ', html`<code>${String(value)}</code>`])}${
    values.length > shown.length ? ` and ${values.length - shown.length} more` : null
  }`;
}

/** Leaves out the limits that the schema library writes for every integer. */
function isBound(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER;
}

function rangeText(unit: string, least: unknown, most: unknown): string {
  const number = (value: number) => value.toLocaleString('en');
  const one = unit === ' characters' ? ' character' : unit === ' items' ? ' item' : '';
  if (isBound(least) && isBound(most)) {
    return least === most
      ? `${number(least)}${least === 1 ? one : unit}`
      : `${number(least)} to ${number(most)}${unit}`;
  }
  if (isBound(most)) return `at most ${number(most)}${most === 1 ? one : unit}`;
  return isBound(least) ? `at least ${number(least)}${least === 1 ? one : unit}` : '';
}

/** The members of an object, of the objects in a list, or of each of several forms. */
function innerHtml(reference: Reference, schema: Schema, depth: number): Html | null {
  if (componentName(schema) !== undefined || depth >= MAX_DEPTH) return null;
  const forms = (schema.anyOf ?? schema.oneOf ?? []).filter((form) => form.type !== 'null');
  if (forms.length > 0) {
    return html`${forms.map((form) => {
      const inner = innerHtml(reference, form, depth);
      return inner === null && form.description === undefined
        ? null
        : html`${descriptionHtml(reference, form)}${inner}`;
    })}`;
  }
  const item = schema.items;
  const object = schema.properties === undefined && item !== undefined ? item : schema;
  if (componentName(object) !== undefined) return null;
  const members = membersHtml(reference, object, depth + 1);
  if (members === null) return null;
  const names = Object.keys(object.properties ?? {});
  return html`<details><summary>${object === item ? 'Members of each: ' : 'Members: '}${names.slice(0, 4).join(', ')}${
    names.length > 4 ? ' …' : null
  }</summary>${members}</details>`;
}

/** The type of a value in words, with a link where it is a schema of its own. */
export function typeHtml(reference: Reference, schema: Schema): Html {
  const name = componentName(schema);
  if (name !== undefined) return html`<a href="${reference.toHref(`docs:schemas#${name}`)}">${name}</a>`;
  const forms = schema.anyOf ?? schema.oneOf;
  if (forms !== undefined)
    return joined(
      forms.map((form) => typeHtml(reference, form)),
      ' or ',
    );
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (Array.isArray(schema.type)) {
    return joined(
      schema.type.map((type: string) => typeHtml(reference, { ...schema, type })),
      ' or ',
    );
  }
  if (schema.type === 'array') {
    const item = schema.items;
    return item === undefined ? html`array` : html`array of ${typeHtml(reference, item)}`;
  }
  if (
    schema.type === 'object' &&
    typeof schema.additionalProperties === 'object' &&
    schema.properties === undefined
  ) {
    const value = typeHtml(reference, schema.additionalProperties);
    return value.text === 'any' ? html`object` : html`object of ${value}`;
  }
  if (schema.allOf !== undefined)
    return joined(
      schema.allOf.map((part) => typeHtml(reference, part)),
      ' and ',
    );
  const format = FORMATS[schema.format ?? ''];
  if (schema.type === undefined) return html`${schema.enum === undefined ? 'any' : 'string'}`;
  return html`${schema.type}${format === undefined ? null : `, ${format}`}`;
}

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': 'RFC 3339 time',
  date: 'date',
  uri: 'URL',
  binary: 'bytes',
};

function joined(parts: readonly Html[], separator: string): Html {
  return html`${parts.map((part, index) => [index === 0 ? null : separator, part])}`;
}
