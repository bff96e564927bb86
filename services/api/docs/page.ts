import type { PublicUrls } from '../http/public-urls.ts';
import { escapeHtml, jsonHtml, type Operation, operationsHtml } from './operation-html.ts';

type Json = Record<string, unknown>;

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
    components: { schemas: Record<string, Json>; responses: Operation['responses'] };
  };
  const groups = Map.groupBy(Object.entries(paths), ([path]) => path.split('/')[1] ?? '');
  const sections = [...groups].map(
    ([group, entries]) =>
      `<h2>${escapeHtml(group)}</h2>${entries.map(([path, item]) => operationsHtml(path, item, components.responses)).join('')}`,
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
