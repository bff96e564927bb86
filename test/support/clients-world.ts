import { rmSync } from 'node:fs';
import type { Customer, World, WorldOptions } from '../../deploy/demo/world.ts';
import { installPythonClient, installTypescriptClient } from './packages.ts';
import { openTestWorld } from './test-world.ts';

/** A product with Tandem beside it, and a customer who has installed the clients. */
export interface ClientsWorld extends AsyncDisposable {
  readonly world: World;
  readonly customer: Customer;
  /** Where the packed clients are installed; undefined for Python where the machine has none. */
  readonly folders: { readonly javascript: string; readonly python: string | undefined };
  /** What a program of the customer needs in its environment. */
  readonly settings: {
    readonly PATH: string | undefined;
    readonly TANDEM_URL: string;
    readonly TANDEM_KEY: string;
  };
}

export async function openClientsWorld(services: WorldOptions['services']): Promise<ClientsWorld> {
  await using cleanup = new AsyncDisposableStack();
  const install = <Folder extends string | undefined>(folder: Folder): Folder => {
    if (folder !== undefined) cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  };
  const folders = { javascript: install(installTypescriptClient()), python: install(installPythonClient()) };
  const world = cleanup.use(
    await openTestWorld({
      rows: 1_000,
      accounts: 2,
      services,
    }),
  );
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const owned = cleanup.move();
  return {
    world,
    customer,
    folders,
    settings: { PATH: process.env.PATH, TANDEM_URL: world.apiUrl, TANDEM_KEY: customer.key },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
