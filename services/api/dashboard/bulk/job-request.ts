import type { z } from 'zod';
import { AppError, type FieldError } from '../../../../shared/runtime/errors.ts';
import type { resourceSchema } from '../../catalog/schemas.ts';
import { parseJsonText } from '../../http/read-json-body.ts';
import type { Messages } from '../messages/messages.ts';

export type Resource = z.output<typeof resourceSchema>;
export type Operation = Resource['operations'][number];
export type Param = Operation['params'][number];

/** How the items are selected. `failed`: the failed items of an earlier job. */
export const SELECTIONS = ['filter', 'ids', 'file', 'all', 'failed'] as const;
export type Selection = (typeof SELECTIONS)[number];

/** A condition of the filter, in the form's fields. */
export interface Row {
  readonly field: string;
  readonly operator: string;
  readonly value: string;
}

/** Limit of a form's conditions. */
export const MAX_ROWS = 20;

/** An error and the part of the form that it is about; an empty place means the whole form. */
export interface Fault {
  readonly place: string;
  readonly detail: string;
}

/** The form's input for a new job. */
export interface FormFacts {
  readonly resource: Resource;
  readonly operation: Operation;
  readonly by: Selection;
  /** Set for the selection `failed`. */
  readonly failedIds: readonly string[];
  readonly maxIds: number;
  readonly text: Messages['bulk']['create'];
  readonly number: (value: number) => string;
}

/** Converts the form to a request for `POST /bulk/operations`, or to the errors in the form. */
export function readJobRequest(
  form: URLSearchParams,
  facts: FormFacts,
): { readonly body: Record<string, unknown>; readonly faults: readonly Fault[] } {
  const faults: Fault[] = [];
  const refuse = (place: string, detail: string) => faults.push({ place, detail });
  const params = readParams(form, facts, refuse);
  const selection = readSelection(form, facts, refuse);
  const most = (form.get('max_failures') ?? '').trim();
  if (most !== '' && !/^[1-9]\d{0,8}$/.test(most)) refuse('max_failures', facts.text.faults.noNumber);
  const body = {
    resource: facts.resource.name,
    operation: facts.operation.name,
    async: true,
    params,
    ...selection,
    ...(most === '' ? {} : { max_failures: Number(most) }),
  };
  return { body, faults };
}

type Refuse = (place: string, detail: string) => void;

function readSelection(form: URLSearchParams, facts: FormFacts, refuse: Refuse): Record<string, unknown> {
  const { by, text, maxIds } = facts;
  switch (by) {
    case 'filter': {
      const rows = usedRows(form);
      if (rows.length === 0) refuse('filter', text.faults.noCondition);
      const match = form.get('match') === 'any' ? 'or' : 'and';
      const semantics = form.get('semantics') === 'live' ? { semantics: 'live' } : {};
      return { filter: { [match]: rows.map(({ row }) => conditionOf(row)) }, ...semantics };
    }
    case 'all':
      if (form.get('all') !== 'on') refuse('all', text.faults.notSure);
      return { filter: {}, all: true };
    case 'file': {
      const id = form.get('file_id') ?? '';
      if (id === '') refuse('file', text.faults.noFile);
      return { file_id: id };
    }
    case 'failed':
      if (facts.failedIds.length === 0) refuse('', text.noneFailed);
      return { ids: [...facts.failedIds] };
    case 'ids': {
      const ids = splitIds(form.get('ids') ?? '', facts.resource);
      if (ids.length === 0) refuse('ids', text.faults.noIds);
      if (ids.length > maxIds) refuse('ids', text.faults.tooManyIds(facts.number(maxIds)));
      return { ids: ids.slice(0, maxIds) };
    }
  }
}

/** All conditions of the form, at least one, with empty ones between. */
export function readRows(form: URLSearchParams): Row[] {
  const rows: Row[] = [];
  for (let index = 0; index < MAX_ROWS && (index === 0 || form.has(`field.${index}`)); index += 1) {
    rows.push({
      field: form.get(`field.${index}`) ?? '',
      operator: form.get(`operator.${index}`) ?? 'eq',
      value: form.get(`value.${index}`) ?? '',
    });
  }
  return rows;
}

function usedRows(form: URLSearchParams): { row: Row; index: number }[] {
  return readRows(form)
    .map((row, index) => ({ row, index }))
    .filter(({ row }) => row.field !== '');
}

function conditionOf({ field, operator, value }: Row): Record<string, unknown> {
  if (operator === 'is_null' || operator === 'is_not_null') {
    return { [field]: { is_null: operator === 'is_null' } };
  }
  return { [field]: { [operator]: operator === 'in' ? splitList(value) : value } };
}

/** An item in double quotes; a quote inside is doubled. */
const QUOTED = /\s*"([^"]*(?:""[^"]*)*)"\s*(?:,|$)/y;

/** `a, "b, c"` → `a` and `b, c`. Linear in the length of any text. */
export function splitList(text: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    QUOTED.lastIndex = at;
    const [whole, quoted] = QUOTED.exec(text) ?? [];
    if (whole !== undefined && quoted !== undefined) {
      parts.push(quoted.replaceAll('""', '"'));
      at += whole.length;
      continue;
    }
    const comma = text.indexOf(',', at);
    const end = comma < 0 ? text.length : comma;
    const plain = text.slice(at, end).trim();
    if (plain !== '') parts.push(plain);
    at = end + 1;
  }
  return parts;
}

/** One ID per line. Numbers and UUIDs contain no blanks or commas, so these may separate IDs too. */
export function splitIds(text: string, { key, fields }: Pick<Resource, 'key' | 'fields'>): string[] {
  const [only] = key.length === 1 ? fields.filter(({ name }) => key.includes(name)) : [];
  const isWord = only?.json_type === 'integer' || only?.format === 'uuid';
  return text
    .split(isWord ? /[\s,;]+/ : /\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function readParams(
  form: URLSearchParams,
  { operation, text }: FormFacts,
  refuse: Refuse,
): Record<string, unknown> {
  if (operation.takes_any_params) {
    const sent = (form.get('params') ?? '').trim();
    const { value, fault } = sent === '' ? { value: {} } : parseJson(sent);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    refuse('params', fault ?? text.faults.noObject);
    return {};
  }
  const params: Record<string, unknown> = {};
  for (const param of operation.params) {
    const { name } = param;
    const place = `param.${name}`;
    const value = (form.get(`set.${name}`) ?? '').replaceAll('\r\n', '\n');
    const mode = modeOf(form, operation, param);
    if (mode === 'clear') params[name] = null;
    if (mode === 'keep' && value !== '' && !isChoice(param)) refuse(place, text.faults.notChosen(name));
    if (mode !== 'set') continue;
    const { value: typed, fault } = typedValue(value, param);
    if (typed === undefined) refuse(place, fault ?? text.faults.noJson(name));
    params[name] = typed ?? null;
  }
  if (operation.params.length > 0 && Object.keys(params).length === 0)
    refuse('params', text.faults.nothingSet);
  return params;
}

/** Whether the parameter is shown as a list, which always has a selected value. */
export function isChoice({ values, json_type: type }: Pick<Param, 'values' | 'json_type'>): boolean {
  return (values !== null && type !== 'array') || type === 'boolean';
}

/** The chosen mode of a parameter. An operation with only one mode determines it. */
export function modeOf(
  form: URLSearchParams,
  { params }: Operation,
  { name }: Param,
): 'keep' | 'set' | 'clear' {
  const mode = form.get(`mode.${name}`);
  if (mode === 'set' || mode === 'clear') return mode;
  return mode === null && params.length === 1 ? 'set' : 'keep';
}

/** A value, or an error. Neither means that the text is not JSON. */
interface Typed {
  readonly value?: unknown;
  readonly fault?: string;
}

/** Keeps the digits of numbers as text; the API reads them by the column's type. */
function typedValue(text: string, { json_type: type }: Param): Typed {
  if (type === 'boolean') return { value: text === 'true' };
  if (type === 'any' || type === 'object') return parseJson(text);
  if (type === 'array' && !text.trimStart().startsWith('[')) {
    return { value: text.split('\n').filter(Boolean) };
  }
  if (type === 'array') return parseJson(text);
  return { value: type === 'string' ? text : text.trim() };
}

/** Limit of values in a JSON text, like in a request body. */
const MAX_JSON_VALUES = 5_000;

function parseJson(text: string): Typed {
  try {
    return { value: parseJsonText(text, MAX_JSON_VALUES) };
  } catch (error) {
    if (!(error instanceof AppError)) return {};
    return { fault: error.errors.map(({ detail }) => detail).join('; ') };
  }
}

/** Assigns a request's errors to parts of the form. */
export function placeFaults(errors: readonly FieldError[], form: URLSearchParams): Fault[] {
  const rows = usedRows(form);
  return errors.map(({ pointer, detail }) => {
    const [, member = '', name = '', index = ''] = pointer.split('/').map(unescapePointer);
    if (member === 'params') return { place: name === '' ? 'params' : `param.${name}`, detail };
    if (member === 'filter' && index !== '')
      return { place: `row.${rows[Number(index)]?.index ?? 0}`, detail };
    const places = new Map([
      ['filter', 'filter'],
      ['ids', 'ids'],
      ['file_id', 'file'],
      ['max_failures', 'max_failures'],
    ]);
    return { place: places.get(member) ?? '', detail };
  });
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
