import { codeTabs, type Tab } from '../../docs/highlight.ts';
import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';
import type { Export, ExportFile } from './export-types.ts';

/** Limit of listed files. The manifest lists all. */
const MAX_FILES = 100;
const MAX_CURL_FILES = 10;
const MAX_MEMBERS = 100;

/** The files with their checksums, and code that downloads them. */
export function exportFiles(details: Export, visit: Visit): Html | null {
  const text = visit.text.exports.details;
  if (details.status !== 'completed') return null;
  const { id, files } = details;
  const hidden = files.length - MAX_FILES;
  return html`<section><h2>${text.files}</h2>
<ul class="files">${files.slice(0, MAX_FILES).map((file) => fileEntry(id, file, visit))}</ul>
${hidden > 0 ? html`<p class="muted">${visit.text.exports.list.more(visit.formats.number(hidden))}</p>` : null}
<p><a href="${visit.href(`/dashboard/exports/${id}/files/manifest.json`)}" download>${text.manifest}</a> <span class="muted">${text.linksAreShort}</span></p>
<h3>${text.byCode}</h3>
${codeTabs(downloadCode(details), { group: 'download', label: text.byCode })}
</section>`;
}

function fileEntry(id: string, { name, rows, bytes, sha256, members }: ExportFile, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { formats } = visit;
  const path = `/dashboard/exports/${id}/files/${encodeURIComponent(name)}`;
  const size = (each: { readonly rows: number; readonly bytes: number }) =>
    `${text.rowsOnly(formats.number(each.rows), each.rows)} · ${formats.bytes(each.bytes)}`;
  return html`<li>
<div class="file"><strong>${name}</strong> <span class="muted">${size({ rows, bytes })}</span>
<a class="button" href="${visit.href(path)}" download aria-label="${text.downloadFile(name)}">${text.download}</a></div>
<div class="checksum muted">${text.checksum} <code>${sha256}</code></div>
${
  members === undefined
    ? null
    : html`<details><summary>${text.members(formats.number(members.length))}</summary><ul class="members">${members
        .slice(0, MAX_MEMBERS)
        .map((each) => html`<li>${each.name} <span class="muted">${size(each)}</span></li>`)}</ul></details>`
}
</li>`;
}

/** The public URL of the API: the file's URL without the path of the operation. */
function baseUrlOf({ id, files }: Export): string {
  const [url = ''] = files.map(({ content_url: each }) => each);
  return url.split(`/exports/${id}/`, 1)[0] ?? '';
}

/** Code that works as long as the files are retained: it uses a key, and requests new links. */
function downloadCode(details: Export): Tab[] {
  const { id, files } = details;
  const url = JSON.stringify(baseUrlOf(details));
  return [
    {
      id: 'curl',
      label: 'curl',
      language: 'bash',
      code: files.slice(0, MAX_CURL_FILES).map(curlOf).join('\n'),
    },
    {
      id: 'typescript',
      label: 'TypeScript',
      language: 'typescript',
      code: `import { Tandem } from '@tandem/client';
import { downloadExport } from '@tandem/client/node';

const client = new Tandem({ baseUrl: ${url}, key: process.env.TANDEM_KEY ?? '' });
const paths = await downloadExport(client, '${id}', 'export');
console.log(paths);`,
    },
    {
      id: 'python',
      label: 'Python',
      language: 'python',
      code: `import os

from tandem_client import Tandem

client = Tandem(${url}, os.environ["TANDEM_KEY"])
paths = client.exports.download("${id}", "export")
print(*paths)`,
    },
  ];
}

/** The link needs a key, and redirects to a new presigned one. */
function curlOf({ name, content_url: url }: ExportFile): string {
  return [
    'curl --fail --location --header "Authorization: Bearer $TANDEM_KEY"',
    `--output ${quoted(name)}`,
    quoted(url),
  ].join(' \\\n  ');
}

/** Code that reads every change after the export. */
export function followCode(details: Export): Tab[] {
  const { id } = details;
  const base = baseUrlOf(details);
  const url = JSON.stringify(base);
  return [
    {
      id: 'curl',
      label: 'curl',
      language: 'bash',
      code: [
        'curl --fail --header "Authorization: Bearer $TANDEM_KEY"',
        quoted(`${base}/events?after_export=${id}`),
      ].join(' \\\n  '),
    },
    {
      id: 'typescript',
      label: 'TypeScript',
      language: 'typescript',
      code: `import { Tandem } from '@tandem/client';

const client = new Tandem({ baseUrl: ${url}, key: process.env.TANDEM_KEY ?? '' });
for await (const event of client.events.list({ after_export: '${id}' })) {
  console.log(event.type, event.key);
}`,
    },
    {
      id: 'python',
      label: 'Python',
      language: 'python',
      code: `import os

from tandem_client import Tandem

client = Tandem(${url}, os.environ["TANDEM_KEY"])
for event in client.events.list(after_export="${id}"):
    print(event["type"], event["key"])`,
    },
  ];
}

/** A text in single quotes for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
