import type { z } from 'zod';
import { EXAMPLE } from '../http/example-values.ts';
import type { estimateSchema, exportSchema } from './response.ts';

/** An export as the API document's examples show it, in one status. */
export function exampleExport(
  resource: string,
  status: 'pending' | 'paused' | 'completed' | 'cancelled',
): z.input<typeof exportSchema> {
  const isCompleted = status === 'completed';
  const name = `${resource}.csv.gz`;
  const link = (file: string) =>
    `https://tandem.example.com/files/exports/${EXAMPLE.export}/${file}?expires=1772443800&signature=x`;
  return {
    id: EXAMPLE.export,
    account_id: EXAMPLE.account,
    status,
    phase: status === 'pending' || status === 'paused' ? 'queued' : 'done',
    resources: [resource],
    format: 'csv',
    compression: 'gzip',
    archive: null,
    csv_safe: false,
    buckets: null,
    include_deleted: false,
    include_related: false,
    date_range: null,
    fields: null,
    changes_since: null,
    as_of: null,
    max_rows_per_second: null,
    rows: { estimated: 1_200, extracted: isCompleted ? 1_234 : 0, written: isCompleted ? 1_234 : 0 },
    progress: isCompleted ? 1 : 0,
    eta_seconds: isCompleted ? 0 : null,
    ...(status === 'pending' ? { queue_position: 1 } : {}),
    created_at: EXAMPLE.at,
    started_at: isCompleted ? EXAMPLE.at : null,
    completed_at: isCompleted ? EXAMPLE.later : null,
    expires_at: isCompleted ? EXAMPLE.muchLater : null,
    ...(status === 'paused' ? { pause_expires_at: EXAMPLE.later } : {}),
    snapshot: isCompleted
      ? {
          kind: 'single',
          reason: null,
          taken_at: EXAMPLE.at,
          lsn: '0/16B3748',
          xmin: '7431',
          xmax: '7433',
          xip: ['7431'],
        }
      : null,
    cut: null,
    files: isCompleted
      ? [
          {
            name,
            resource,
            rows: 1_234,
            bytes: 45_678,
            sha256: EXAMPLE.sha256,
            content_url: `https://tandem.example.com/exports/${EXAMPLE.export}/files/${name}`,
            url: link(name),
            url_expires_at: EXAMPLE.later,
          },
        ]
      : [],
    manifest_url: isCompleted ? link('manifest.json') : null,
  };
}

/** The response to `dry_run` as the API document's example shows it. */
export function exampleEstimate(resource: string): z.input<typeof estimateSchema> {
  return {
    dry_run: true,
    resources: [resource],
    estimated_rows: 1_200,
    estimated_bytes: 480_000,
    estimated_duration_seconds: 3,
    refusal: null,
  };
}
