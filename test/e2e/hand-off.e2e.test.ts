import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { openReceiver } from '../../deploy/demo/receiver.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import { createExport, differencesAfter, loadExport } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

describe.each([1, 2])('with %i of each service', (copies) => {
  test('two exports at once, each with a receiver that subscribes later, both end as the source', async () => {
    await using world = await openTestWorld({
      rows: 2_000,
      accounts: 3,
      services: { api: 1, extractor: copies, writer: copies, capture: copies, dispatcher: copies },
    });
    // A column that the server computes is in neither file nor feed, so that the two can be alike on every version of it.
    const source = new pg.Client({ connectionString: world.sourceUrl });
    await source.connect();
    await source.query(
      'alter table documint.customers add shout text generated always as (upper(name)) stored',
    );
    await source.end();
    const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
    const traffic = await startTraffic({
      databaseUrl: world.sourceUrl,
      accounts: world.generated.accounts,
      perSecond: 150,
      connections: 4,
      seed: copies,
    });
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(async () => void (await traffic.stop()));

    const spanning = await traffic.openTransaction();
    const accepted = await Promise.all([createExport(world, customer), createExport(world, customer)]);
    const replicas = await Promise.all(accepted.map(({ id }) => loadExport(world, customer, id)));
    await spanning.commit();
    // Some changes come between the export's end and the subscription.
    const commitsBefore = traffic.counts.commits;
    await waitFor('changes after the exports', () => traffic.counts.commits > commitsBefore + 300);

    for (const [index, { id }] of accepted.entries()) {
      const replica = replicas[index];
      const receiver = cleanup.use(
        await openReceiver({
          onDelivery({ event }) {
            replica?.apply(event);
            return { status: 204 };
          },
        }),
      );
      const webhook = await customer.client.call<{ secret: string }>('POST', '/webhooks', {
        url: receiver.url,
        events: ['*'],
        start: { after_export: id },
      });
      receiver.setSecret(webhook.secret);
      cleanup.defer(() => expect(receiver.counts.badSignatures + receiver.counts.idMismatches).toBe(0));
    }
    const commitsThen = traffic.counts.commits;
    await waitFor('changes after the subscription', () => traffic.counts.commits > commitsThen + 300);
    await traffic.stop();
    for (const replica of replicas) {
      expect([...replica.records('customers').values()].filter((text) => text.includes('"shout"'))).toEqual(
        [],
      );
      expect(await differencesAfter(world, customer, replica)).toEqual([]);
    }
  });
});
