import { createHash } from 'node:crypto';
import type { TestApi } from './api-server.ts';

/** Completes an export as extractor and writer would, with one file of this content. @returns its SHA-256 in hex */
export async function completeExport(api: TestApi, id: string, content: string): Promise<string> {
  const path = `exports/${id}/invoices.jsonl`;
  for (const [name, text] of [
    [path, content],
    [`exports/${id}/manifest.json`, '{}'],
  ] as const) {
    const file = await api.storage.openWriter(name);
    await file.append(text);
    await file.commit();
  }
  const sha256 = createHash('sha256').update(content).digest('hex');
  const files = [
    { name: 'invoices.jsonl', resource: 'invoices', rows: 2, bytes: content.length, sha256, path },
  ];
  await api.pool.query(
    `/* arranged */ update exports set status = 'completed', phase = 'done', files = $2, completed_at = now(), started_at = now(),
       expires_at = now() + interval '90 days', rows_extracted = 2, rows_written = 2, planned_at = now(),
       start_lsn = '0/10', sealed_lsn = '0/30',
       snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/20', 'xmin', '10', 'xmax', '12', 'xip', '["11"]'::jsonb)
     where id = $1`,
    [id, JSON.stringify(files)],
  );
  return sha256;
}
