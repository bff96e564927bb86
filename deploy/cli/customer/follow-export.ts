import { join } from 'node:path';
import type { Export } from '../../../schemas/clients/typescript/src/index.ts';
import { downloadExport } from '../../../schemas/clients/typescript/src/node.ts';
import { type Customer, orSay } from './customer-command.ts';
import {
  createEstimate,
  formatBytes,
  formatCount,
  formatFacts,
  formatProgress,
  printable,
} from './format.ts';

/** Shows the progress of an export until it is completed. @throws JobError when it ends otherwise */
export function followExport(customer: Customer, id: string): Promise<Export> {
  const { client, during, signal } = customer;
  const advice = `\nThe export continues without this command. Follow it again, download it, pause it, or end it:
  tandem exports get ${id} --follow
  tandem exports download ${id} --out DIR
  tandem exports pause ${id}
  tandem exports cancel ${id}`;
  return orSay(customer, advice, () =>
    during(`export ${id}`, (report) =>
      client().exports.wait(id, { signal, onProgress: (exported) => report(exportProgress(exported)) }),
    ),
  );
}

/** How far an export is, in one line. */
export function exportProgress({
  progress,
  phase,
  rows,
  eta_seconds: eta,
  queue_position: place,
  pause_expires_at: until,
}: Export): string {
  if (until !== undefined) return `is paused, until ${until} at most`;
  if (place !== undefined) return `is number ${place} in the queue`;
  if (phase === 'queued' || phase === 'waiting_for_feed') return phase.replaceAll('_', ' ');
  const done = phase === 'extracting' ? rows.extracted : rows.written;
  const estimated = rows.estimated === null ? '' : ` of about ${formatCount(rows.estimated)}`;
  return formatProgress(progress, `${formatCount(done)}${estimated} rows`, eta);
}

/**
 * Downloads a completed export into a folder and compares each file with its checksum. A download that was cut is continued.
 *
 * @returns the paths of the files and of their manifest
 */
export async function downloadFiles(customer: Customer, { id }: Export, folder: string): Promise<string[]> {
  const { client, during, signal } = customer;
  const advice = `\nWhat has arrived is kept. Continue with:\n  tandem exports download ${id} --out ${folder}`;
  const estimate = createEstimate(performance.now.bind(performance));
  const paths = await orSay(customer, advice, () =>
    during(`download to ${folder}`, (report) =>
      downloadExport(client(), id, folder, {
        signal,
        onProgress: ({ bytes, totalBytes }) =>
          report(
            formatProgress(
              totalBytes === 0 ? 1 : bytes / totalBytes,
              `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`,
              estimate(bytes, totalBytes),
            ),
          ),
      }),
    ),
  );
  return [...paths, join(folder, 'manifest.json')];
}

/** An export for a person. */
export function exportLines(exported: Export): string[] {
  const { id, status, resources, rows, files, error, snapshot } = exported;
  const isRunning = ['pending', 'running', 'paused', 'cancelling'].includes(status);
  return [
    ...formatFacts({
      export: id,
      status: isRunning ? `${status}: ${exportProgress(exported)}` : status,
      error: error && printable(`${error.code}: ${error.message}`),
      resources: resources.join(', '),
      format: [exported.format, exported.compression, exported.archive]
        .filter((each) => each !== null && each !== 'none')
        .join(', '),
      rows: formatCount(rows.written),
      created: exported.created_at,
      snapshot: snapshot?.taken_at,
      completed: exported.completed_at,
      expires: exported.expires_at,
    }),
    ...files.map(
      (file) =>
        `  ${file.name}  ${formatCount(file.rows)} rows  ${formatBytes(file.bytes)}  sha256 ${file.sha256}`,
    ),
  ];
}
