/** How a language writes JSON values. */
interface Style {
  readonly indent: string;
  readonly null: string;
  readonly true: string;
  readonly false: string;
  /** Padding within the braces of an object on one line. */
  readonly padding: string;
  /** Whether the last of several lines ends with a comma. */
  readonly hasTrailingComma: boolean;
  text(value: string): string;
  name(name: string): string;
}

const JSON_STYLE: Style = {
  indent: '  ',
  null: 'null',
  true: 'true',
  false: 'false',
  padding: ' ',
  hasTrailingComma: false,
  text: (value) => JSON.stringify(value),
  name: (name) => JSON.stringify(name),
};

const TYPESCRIPT_STYLE: Style = {
  ...JSON_STYLE,
  hasTrailingComma: true,
  text: singleQuoted,
  name: (name) => (/^[a-z_$][\w$]*$/i.test(name) ? name : singleQuoted(name)),
};

const PYTHON_STYLE: Style = {
  ...JSON_STYLE,
  indent: '    ',
  null: 'None',
  true: 'True',
  false: 'False',
  padding: '',
  hasTrailingComma: true,
};

const STYLES = { json: JSON_STYLE, typescript: TYPESCRIPT_STYLE, python: PYTHON_STYLE } as const;

/** A longer array or object has a line for each member. */
const MAX_LINE = 56;

/** A JSON value as a literal of a language, as people write it: what is short stays on one line. */
export function literalOf(value: unknown, language: keyof typeof STYLES = 'json'): string {
  return written(value, STYLES[language], '');
}

function written(value: unknown, style: Style, indent: string): string {
  if (value === null || value === undefined) return style.null;
  if (typeof value === 'boolean') return value ? style.true : style.false;
  if (typeof value === 'string') return style.text(value);
  if (typeof value !== 'object') return JSON.stringify(value);
  const inner = indent + style.indent;
  if (Array.isArray(value)) {
    return enclosed(
      value.map((item) => written(item, style, inner)),
      { open: '[', close: ']', padding: '', isLong: false },
      style,
      indent,
    );
  }
  const members = Object.entries(value).map(
    ([name, member]) => `${style.name(name)}: ${written(member, style, inner)}`,
  );
  // A whole body has a line for each member.
  const isLong = indent === '' && members.length > 1;
  return enclosed(members, { open: '{', close: '}', padding: style.padding, isLong }, style, indent);
}

function enclosed(
  parts: readonly string[],
  { open, close, padding, isLong }: { open: string; close: string; padding: string; isLong: boolean },
  { indent: step, hasTrailingComma }: Style,
  indent: string,
): string {
  if (parts.length === 0) return open + close;
  const line = `${open}${padding}${parts.join(', ')}${padding}${close}`;
  if (!isLong && !line.includes('\n') && indent.length + line.length <= MAX_LINE) return line;
  const lines = parts.map((part) => `${indent}${step}${part}`).join(',\n');
  return `${open}\n${lines}${hasTrailingComma ? ',' : ''}\n${indent}${close}`;
}

function singleQuoted(text: string): string {
  const json = JSON.stringify(text);
  return text.includes("'") ? json : `'${json.slice(1, -1).replaceAll('\\"', '"')}'`;
}
