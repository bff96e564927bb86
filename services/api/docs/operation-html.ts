type Json = Record<string, unknown>;

/** An operation of the OpenAPI document, as far as the page shows it. */
export interface Operation {
  summary: string;
  security?: Record<string, string[]>[];
  parameters: { name: string; in: string; required?: boolean; description?: string; schema: Json }[];
  requestBody?: { content: Record<string, { schema: Json }> };
  responses: Record<
    string,
    { $ref?: string; description: string; content?: Record<string, { schema?: Json }> }
  >;
}

/** The operations of one path: parameters, body and responses, each folded until a reader opens it. */
export function operationsHtml(
  path: string,
  item: Record<string, Operation>,
  shared: Operation['responses'],
): string {
  return Object.entries(item)
    .map(([method, operation]) => {
      const scope = Object.values(operation.security?.[0] ?? {})[0]?.join(', ');
      const rows = operation.parameters.map(
        ({ name, in: place, required, description = '' }) =>
          `<tr><td><code>${escapeHtml(name)}</code><td class="t">${place}${required === true ? ', required' : ''}<td>${escapeHtml(description)}`,
      );
      const body = operation.requestBody?.content['application/json']?.schema;
      const responses = Object.entries(operation.responses).map(([status, response]) => {
        const { description, content } = shared[String(response.$ref).split('/').at(-1) ?? ''] ?? response;
        return `<tr><td><code>${status}</code><td>${escapeHtml(description)}<td class="t">${escapeHtml(schemaName(content))}`;
      });
      return `<details><summary><span class="m">${method.toUpperCase()}</span><code>${escapeHtml(path)}</code>
<span class="t">${escapeHtml(operation.summary)}</span></summary>
${scope === undefined ? '' : `<p class="t">scope: ${escapeHtml(scope === '' ? 'operator' : scope)}</p>`}
${rows.length === 0 ? '' : `<table>${rows.join('')}</table>`}${body === undefined ? '' : `<p>Body</p>${jsonHtml(body)}`}
<p>Responses</p><table>${responses.join('')}</table></details>`;
    })
    .join('');
}

function schemaName(content: Record<string, { schema?: Json }> | undefined): string {
  const [type, media] = Object.entries(content ?? {})[0] ?? [];
  const reference = media?.schema?.$ref;
  return typeof reference === 'string' ? (reference.split('/').at(-1) ?? '') : (type ?? '');
}

export function jsonHtml(value: unknown): string {
  return `<pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre>`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
