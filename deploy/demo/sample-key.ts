import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepSecret } from '../local/kept-secret.ts';
import { createApiClient } from './api-client.ts';

/** The sample data's main account. */
const SAMPLE_SOURCE_ID = 'acc_001';

/**
 * A key of the sample data's main account, made at the first start and the same at every later one.
 * A kept key that the API does not know any more, because the control store is another, is replaced.
 */
export async function sampleAccountKey(home: string, apiUrl: string, adminKey: string): Promise<string> {
  const path = join(home, 'demo-key');
  if (existsSync(path)) {
    const kept = readFileSync(path, 'utf8').trim();
    const response = await fetch(`${apiUrl}/exports?limit=1`, {
      headers: { authorization: `Bearer ${kept}` },
    });
    await response.arrayBuffer();
    if (response.ok) return kept;
  }
  const operator = createApiClient(apiUrl, adminKey);
  const { data } = await operator.call<{ data: { id: string; source_id: string }[] }>(
    'GET',
    '/admin/accounts?limit=100',
  );
  const account =
    data.find(({ source_id }) => source_id === SAMPLE_SOURCE_ID) ??
    (await operator.call<{ id: string }>('POST', '/admin/accounts', {
      name: 'Sample',
      source_id: SAMPLE_SOURCE_ID,
    }));
  const { key } = await operator.call<{ key: string }>('POST', `/admin/accounts/${account.id}/keys`, {
    name: 'sample',
  });
  keepSecret(path, key);
  return key;
}
