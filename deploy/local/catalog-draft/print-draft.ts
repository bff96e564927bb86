import type { TableName } from '../../../shared/domain/catalog.ts';
import type { CatalogDraft, DraftResource } from './draft-catalog.ts';

/** Texts that YAML would take for something else. */
const YAML_WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The catalog file, with comments that say what a person has to look at. */
export function printDraft({ name, resources, leftOut }: CatalogDraft): string {
  const lines = [
    '# A first draft, guessed from tables and foreign keys. Look through it before you use it:',
    '# - account: it decides which customer gets a row. A wrong column shows one customer the records of another.',
    '# - hide: columns that must never leave. Only names that sound like secrets are found.',
    '# - delete resources that no customer is meant to see.',
    '# - operations: what customers may do in bulk. None is allowed until you write it.',
    '# Then run `tandem catalog check` and `tandem source prepare`.',
    `catalog: ${scalar(name)}`,
    'resources:',
    ...resources.flatMap(resourceLines),
  ];
  if (leftOut.length > 0) {
    lines.push('# Left out:');
    for (const { table, reason } of leftOut) lines.push(`# - ${oneLine(tableText(table))}: ${reason}`);
  }
  return `${lines.join('\n')}\n`;
}

function resourceLines(resource: DraftResource): string[] {
  const { softDelete, hide, related, accountNote } = resource;
  return [
    `  ${scalar(resource.name)}:`,
    `    table: ${scalar(tableText(resource.table))}`,
    `    event: ${scalar(resource.event)}`,
    `    key: ${list(resource.key)}`,
    `    account: ${scalar(resource.account)}${accountNote === undefined ? '' : ` # Check: ${oneLine(accountNote)}.`}`,
    resource.range === undefined
      ? '    # range: a timestamp that date_range means; none was found.'
      : `    range: ${scalar(resource.range)}`,
    ...(softDelete === undefined ? [] : [`    soft_delete: ${scalar(softDelete)}`]),
    ...(hide.length === 0 ? [] : [`    hide: ${list(hide)}`]),
    ...(related.length === 0 ? [] : [`    related: ${list(related)}`]),
    softDelete === undefined
      ? '    # operations: { update: { set_from_params: [] } }'
      : '    # operations: { delete: { soft: true } }',
    '',
  ];
}

/** As `parseTableName` reads it. */
function tableText({ schema, name }: TableName): string {
  const part = (text: string) => (/[".\s]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return `${part(schema)}.${part(name)}`;
}

function list(texts: readonly string[]): string {
  return `[${texts.map(scalar).join(', ')}]`;
}

/** JSON's strings are YAML's too. */
function scalar(text: string): string {
  const isPlain = text.split('.').every((part) => PLAIN.test(part)) && !YAML_WORDS.test(text);
  return isPlain ? text : JSON.stringify(text);
}

/** A name with a line break in it must not end the comment. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\u0085\u2028\u2029]+/g, ' ');
}
