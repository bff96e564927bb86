import { expect, test } from 'vitest';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { createSigner } from '../../../shared/runtime/signing.ts';
import type { ApiRequest } from '../http/route.ts';
import { catalogRoutes } from './routes.ts';

test('without the source, event types are listed without examples of records, and resources are not described', async () => {
  const catalog = await loadCatalog('schemas/catalogs/documint.yaml');
  const routes = catalogRoutes({
    catalog,
    source: { read: () => Promise.reject(new AppError('unavailable', 'away')) },
    unfit: { among: async () => new Map() },
    cursorSigner: createSigner('a key of thirty-two characters!!', 'cursors'),
    now: () => 0,
  });
  const ask = async (operationId: string) => {
    const route = routes.find((each) => each.operationId === operationId);
    const response = await route?.handle({
      query: { limit: 200 },
      param: () => 'invoices',
    } as unknown as ApiRequest);
    return JSON.parse(String(response?.body)) as { data: { type: string; example: unknown }[] };
  };
  const { data } = await ask('listEventTypes');
  const examples = new Map(data.map(({ type, example }) => [type, example]));
  expect(examples.get('invoice.created')).toBeNull();
  expect(examples.get('feed.reset')).toMatchObject({ data: { resources: ['customers'] } });
  await expect(ask('listResources')).rejects.toMatchObject({ code: 'unavailable' });
  await expect(ask('getResource')).rejects.toMatchObject({ code: 'unavailable' });
});
