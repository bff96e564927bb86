import type { PublicUrls } from '../http/public-urls.ts';

type Json = Record<string, unknown>;

interface Operation {
  summary: string;
  security?: { key: string[] }[];
  parameters: { name: string; in: string; required?: boolean; description?: string; schema: Json }[];
  requestBody?: { content: Record<string, { schema: Json }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: Json }> }>;
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}code,pre{font:13px ui-monospace,monospace}
pre{background:#f4f4f6;padding:.8rem;overflow:auto;border-radius:6px}.m{display:inline-block;width:4.5rem;font-weight:600}
table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}.t{color:#555}
@media(prefers-color-scheme:dark){body{background:#17171a;color:#e6e6ea}pre{background:#232328}.t{color:#aaa}}`;

/** The OpenAPI document as one page for people. It loads nothing and runs no script. */
export function docsPageOf(document: Json, urls: Pick<PublicUrls, 'path'>): string {
  const { info, paths, components } = document as {
    info: { title: string; version: string; description: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, Json> };
  };
  const groups = Map.groupBy(Object.entries(paths), ([path]) => path.split('/')[1] ?? '');
  const sections = [...groups].map(
    ([group, entries]) =>
      `<h2>${escapeHtml(group)}</h2>${entries.map(([path, item]) => pathHtml(path, item)).join('')}`,
  );
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<details id="${escapeHtml(name)}"><summary>${escapeHtml(name)}</summary>${jsonHtml(schema)}</details>`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(info.title)} API</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>${STYLE}</style>
<h1>${escapeHtml(info.title)} API <small class="t">${escapeHtml(info.version)}</small></h1>
<p>${escapeHtml(info.description)}</p>
<p>Send <code>Authorization: Bearer &lt;key&gt;</code>. Errors are problem documents (RFC 9457) with a
<code>code</code> for programs and a <code>request_id</code> for support. The same document as JSON:
<a href="${escapeHtml(urls.path('/openapi.json'))}">openapi.json</a>.</p>
${sections.join('\n')}<h2>schemas</h2>${schemas.join('\n')}</html>`;
}

function pathHtml(path: string, item: Record<string, Operation>): string {
  return Object.entries(item)
    .map(([method, operation]) => {
      const scope = operation.security?.[0]?.key.join(', ');
      const rows = operation.parameters.map(
        ({ name, in: place, required, description = '' }) =>
          `<tr><td><code>${escapeHtml(name)}</code><td class="t">${place}${required === true ? ', required' : ''}<td>${escapeHtml(description)}`,
      );
      const body = operation.requestBody?.content['application/json']?.schema;
      const answers = Object.entries(operation.responses).map(
        ([status, { description, content }]) =>
          `<tr><td><code>${status}</code><td>${escapeHtml(description)}<td class="t">${escapeHtml(schemaName(content))}`,
      );
      return `<details><summary><span class="m">${method.toUpperCase()}</span><code>${escapeHtml(path)}</code>
<span class="t">${escapeHtml(operation.summary)}</span></summary>
${scope === undefined ? '' : `<p class="t">scope: ${escapeHtml(scope === '' ? 'operator' : scope)}</p>`}
${rows.length === 0 ? '' : `<table>${rows.join('')}</table>`}${body === undefined ? '' : `<p>Body</p>${jsonHtml(body)}`}
<p>Responses</p><table>${answers.join('')}</table></details>`;
    })
    .join('');
}

function schemaName(content: Record<string, { schema?: Json }> | undefined): string {
  const [type, media] = Object.entries(content ?? {})[0] ?? [];
  const reference = media?.schema?.$ref;
  return typeof reference === 'string' ? (reference.split('/').at(-1) ?? '') : (type ?? '');
}

function jsonHtml(value: unknown): string {
  return `<pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre>`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
