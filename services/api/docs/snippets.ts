import { type ApiDocument, exampleOf, type Parameter, type PlacedOperation, resolve } from './document.ts';
import type { Tab } from './highlight.ts';
import { literalOf } from './literal.ts';

/** What one example request says. */
interface ExampleRequest {
  readonly method: string;
  /** With the example's values in it, and its query. */
  readonly target: string;
  readonly isPublic: boolean;
  readonly isIdempotent: boolean;
  readonly body: { readonly json?: unknown; readonly text?: string; readonly type: string } | undefined;
}

/** The example request of an operation in three languages. `TANDEM_URL` and `TANDEM_KEY` are in the environment. */
export function snippetsOf(document: ApiDocument, operation: PlacedOperation): Tab[] {
  const request = exampleRequest(document, operation);
  return [
    { id: 'curl', label: 'curl', language: 'bash', code: curl(request) },
    { id: 'typescript', label: 'TypeScript', language: 'typescript', code: typescript(request) },
    { id: 'python', label: 'Python', language: 'python', code: python(request) },
  ];
}

function exampleRequest(document: ApiDocument, operation: PlacedOperation): ExampleRequest {
  const parameters = (operation.parameters ?? []).map((parameter) => resolve(document, parameter));
  const exampleValue = (parameter: Parameter): unknown =>
    exampleOf(document, parameter as object) ?? parameter.schema?.default;
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters.find((each) => each.in === 'path' && each.name === name);
    const value = parameter && exampleValue(parameter);
    return value === undefined ? name.toUpperCase() : encodeURIComponent(String(value));
  });
  const query = new URLSearchParams(
    parameters
      .filter((each) => each.in === 'query' && exampleOf(document, each as object) !== undefined)
      .map((each): [string, string] => [each.name, String(exampleValue(each))]),
  ).toString();
  const [type, media] = Object.entries(
    (operation.requestBody && resolve(document, operation.requestBody))?.content ?? {},
  )[0] ?? ['', undefined];
  const example = exampleOf(document, media);
  return {
    method: operation.method,
    target: query === '' ? path : `${path}?${query}`,
    isPublic: operation.security?.length === 0,
    isIdempotent: parameters.some((each) => each.in === 'header' && each.name === 'Idempotency-Key'),
    body:
      media === undefined || (example === undefined && type.endsWith('json'))
        ? undefined
        : type.endsWith('json')
          ? { json: example, type }
          : { text: String(example ?? ''), type },
  };
}

/** A text in single quotes for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function curl({ method, target, isPublic, isIdempotent, body }: ExampleRequest): string {
  const verb = method === 'GET' ? '' : `-X ${method} `;
  const lines = [`curl -sS ${verb}"$TANDEM_URL${target.replaceAll(/["$`\\]/g, String.raw`\$&`)}"`];
  if (!isPublic) lines.push('-H "Authorization: Bearer $TANDEM_KEY"');
  if (isIdempotent) lines.push('-H "Idempotency-Key: $(uuidgen)"');
  if (body !== undefined) {
    lines.push(`-H 'Content-Type: ${body.type}'`);
    lines.push(
      body.text === undefined ? `-d ${quoted(literalOf(body.json))}` : `--data-binary ${quoted(body.text)}`,
    );
  }
  return lines.join(' \\\n  ');
}

function typescript({ method, target, isPublic, isIdempotent, body }: ExampleRequest): string {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the template is the reader's.
  const url = `\`${'${TANDEM_URL}'}${target.replaceAll(/[`\\]|\$\{/g, String.raw`\$&`)}\``;
  const headers = [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the template is the reader's.
    ...(isPublic ? [] : ['authorization: `Bearer ${TANDEM_KEY}`,']),
    ...(isIdempotent ? ["'idempotency-key': crypto.randomUUID(),"] : []),
    ...(body === undefined ? [] : [`'content-type': '${body.type}',`]),
  ];
  const options = [
    ...(method === 'GET' ? [] : [`method: '${method}',`]),
    ...(headers.length === 0 ? [] : ['headers: {', ...headers.map((line) => `  ${line}`), '},']),
    ...(body === undefined
      ? []
      : body.text === undefined
        ? `body: JSON.stringify(${literalOf(body.json, 'typescript')}),`.split('\n')
        : [`body: ${JSON.stringify(body.text)},`]),
  ];
  return [
    isPublic ? 'const { TANDEM_URL } = process.env;' : 'const { TANDEM_URL, TANDEM_KEY } = process.env;',
    '',
    options.length === 0
      ? `const response = await fetch(${url});`
      : [`const response = await fetch(${url}, {`, ...options.map((line) => `  ${line}`), '});'].join('\n'),
    'if (!response.ok) throw new Error(await response.text());',
    ...(method === 'DELETE' ? [] : ['console.log(await response.text());']),
  ].join('\n');
}

function python({ method, target, isPublic, isIdempotent, body }: ExampleRequest): string {
  const headers = [
    ...(isPublic ? [] : [`"Authorization": f"Bearer {os.environ['TANDEM_KEY']}",`]),
    ...(isIdempotent ? ['"Idempotency-Key": str(uuid.uuid4()),'] : []),
    ...(body?.text === undefined ? [] : [`"Content-Type": "${body.type}",`]),
  ];
  const lines = [
    `os.environ["TANDEM_URL"] + ${JSON.stringify(target)},`,
    ...(headers.length === 0 ? [] : ['headers={', ...headers.map((line) => `    ${line}`), '},']),
    ...(body === undefined
      ? []
      : body.text === undefined
        ? `json=${literalOf(body.json, 'python')},`.split('\n')
        : [`data=${JSON.stringify(body.text)},`]),
  ];
  return [
    'import os',
    ...(isIdempotent ? ['import uuid'] : []),
    '',
    'import requests',
    '',
    `response = requests.${method.toLowerCase()}(`,
    ...lines.map((line) => `    ${line}`),
    ')',
    'response.raise_for_status()',
    ...(method === 'DELETE' ? [] : ['print(response.text)']),
  ].join('\n');
}
