import type { TableName } from '../../../shared/domain/catalog.ts';
import type { CatalogDraft, DraftResource } from './draft-catalog.ts';
import { leftOutLines } from './left-out.ts';
import { wordsOf } from './names.ts';

/** Texts that YAML would take for something else. */
const YAML_WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MAX_LINE = 130;

/** The catalog file, with comments that say what a person has to look at. */
export function printDraft(draft: CatalogDraft): string {
  const { name, resources, leftOut } = draft;
  const lines = [
    '# A first draft, guessed from tables, foreign keys and names. Review it before you use it:',
    '# - account: it decides which customer gets a row. A wrong column shows one customer the records of another.',
    ...rootLines(draft),
    '# - expose: the only columns that leave. What sounds like a secret is left out; search for secrets with other names.',
    '# - delete resources that no customer is meant to see.',
    '# - operations: what customers may do in bulk. None is allowed until you write it.',
    '# Then run `tandem catalog check` and `tandem source prepare`.',
    `catalog: ${scalar(name)}`,
    'resources:',
    ...resources.flatMap(resourceLines),
  ];
  if (leftOut.length > 0) {
    lines.push(`# Left out: ${leftOut.length} of ${draft.tableCount} tables.`);
    for (const line of leftOutLines(leftOut)) lines.push(`# ${oneLine(line)}`);
  }
  return `${lines.join('\n')}\n`;
}

function rootLines({ root, resources, tableCount }: CatalogDraft): string[] {
  if (root === undefined) return [];
  const rows =
    root.table === undefined ? '' : ` Accounts are taken to be the rows of ${tableText(root.table)}.`;
  // As it is spelled, which its words do not tell.
  const column =
    resources
      .flatMap(({ account }) => (typeof account === 'string' ? [account] : []))
      .find((account) => wordsOf(account) === root.names[0]) ?? root.names[0];
  const share = `${root.tableCount} of ${tableCount} tables have ${column}, which says whose a row is.`;
  return [oneLine(`#  ${rows} ${share} Is that so?`)];
}

function resourceLines(resource: DraftResource): string[] {
  const { softDelete, archived, flag, expose, keptBack, related, accountNote } = resource;
  return [
    `  ${scalar(resource.name)}:`,
    `    table: ${scalar(tableText(resource.table))}`,
    `    event: ${scalar(resource.event)}`,
    ...listLines('key', resource.key),
    `    account: ${accountText(resource.account)}${accountNote === undefined ? '' : ` # Check: ${oneLine(accountNote)}`}`,
    resource.range === undefined
      ? '    # range: a timestamp that date_range means; none was found.'
      : `    range: ${scalar(resource.range)}`,
    ...(softDelete === undefined ? [] : [`    soft_delete: ${scalar(softDelete)}`]),
    ...(archived === undefined
      ? []
      : [`    # soft_delete: ${oneLine(scalar(archived))}, if such a record is gone for customers.`]),
    ...listLines('expose', expose),
    ...(flag === undefined
      ? []
      : [
          `    # where: { ${oneLine(scalar(flag))}: { eq: false } }, if customers are not meant to see the others.`,
        ]),
    ...(keptBack.length === 0
      ? []
      : [
          `    # Kept back, as it may be secret: ${keptBack.map((column) => oneLine(scalar(column))).join(', ')}.`,
        ]),
    ...(related.length === 0 ? [] : listLines('related', related)),
    softDelete === undefined
      ? '    # operations: { update: { set_from_params: [] } }'
      : '    # operations: { delete: { soft: true } }',
    '',
  ];
}

function accountText(account: DraftResource['account']): string {
  if (typeof account === 'string') return scalar(account);
  const columns = account.via.map(scalar);
  const via = columns.length === 1 ? columns[0] : `[[${columns.join(', ')}]]`;
  const { by, to } = account;
  if (typeof to === 'string') return `{ via: ${via}, to: ${scalar(to)} }`;
  const types = [...to].map(([type, name]) => `${scalar(type)}: ${scalar(name)}`);
  return `{ via: ${via}, by: ${scalar(by ?? '')}, to: { ${types.join(', ')} } }`;
}

/** As `parseTableName` reads it. */
function tableText({ schema, name }: TableName): string {
  const part = (text: string) => (/[".\s]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return `${part(schema)}.${part(name)}`;
}

/** A list over as many lines as it takes. */
function listLines(field: string, texts: readonly string[]): string[] {
  const lines: string[] = [];
  let line = `    ${field}: [`;
  for (const [place, text] of texts.entries()) {
    const item = `${scalar(text)}${place === texts.length - 1 ? ']' : ','}`;
    if (line.length + item.length > MAX_LINE) {
      lines.push(line.trimEnd());
      line = '      ';
    }
    line += `${item} `;
  }
  return [...lines, line.trimEnd()];
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
