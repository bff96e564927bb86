import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { createExport, differencesNow, loadExport } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { BUILD_LIMIT_MS, hasVersitygw, startVersitygw } from '../support/versitygw.ts';
import { waitFor } from '../support/wait-for.ts';

test.skipIf(!hasVersitygw())(
  'an export is written to S3, downloaded there by its links, and gone when it is deleted',
  { timeout: BUILD_LIMIT_MS },
  async () => {
    await using gateway = await startVersitygw();
    const bucket = await gateway.createBucket();
    await using world = await openTestWorld({
      rows: 5_000,
      accounts: 3,
      services: { api: 1, extractor: 1, writer: 2, capture: 1, dispatcher: 1 },
      env: {
        ...gateway.credentials,
        STORAGE_URL: `s3://${bucket}/exports-here?endpoint=${gateway.endpoint}`,
      },
    });
    const keys = async (): Promise<string[]> => {
      const { Contents = [] } = await gateway.client.send(new ListObjectsV2Command({ Bucket: bucket }));
      return Contents.map(({ Key = '' }) => Key);
    };
    const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
    const { id } = await createExport(world, customer);

    // Nothing changes meanwhile, so the files alone have to be the source.
    const replica = await loadExport(world, customer, id);
    expect(await differencesNow(world, customer, replica)).toEqual([]);

    const view = await customer.client.call<ExportView & { manifest_url: string }>('GET', `/exports/${id}`);
    const [file] = view.files ?? [];
    const url = file?.url ?? '';
    expect(new URL(url).origin).toBe(gateway.endpoint);
    const authorization = { authorization: `Bearer ${customer.key}` };
    const stable = await fetch(`${world.apiUrl}/exports/${id}/files/${file?.name}`, {
      headers: authorization,
    });
    expect([stable.status, (await stable.arrayBuffer()).byteLength]).toEqual([200, file?.bytes]);
    expect(new URL(stable.url).origin).toBe(gateway.endpoint);
    expect(await (await fetch(view.manifest_url)).json()).toMatchObject({ files: expect.any(Array) });

    await waitFor('the parts to be swept', async () =>
      (await keys()).every((key) => key.startsWith(`exports-here/exports/${id}/`)),
    );
    await customer.client.text('DELETE', `/exports/${id}`);
    expect(await keys()).toEqual([]);
    const { Uploads = [] } = await gateway.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    expect(Uploads).toEqual([]);
    expect((await fetch(url)).status).toBe(404);
  },
);
