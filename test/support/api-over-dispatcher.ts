import { findAccount } from '../../services/api/admin/accounts.ts';
import { createKeyStore } from '../../services/api/http/key-lookup.ts';
import { parseCidr } from '../../shared/domain/address-rules.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { openTestApi, type TestApi } from './api-server.ts';
import type { DispatcherBed } from './dispatcher.ts';

/** The api over a dispatcher's control store: what is asked for over HTTP is what the dispatcher does. */
export async function openApiOver({ pool, env }: DispatcherBed): Promise<TestApi> {
  const api = await openTestApi({
    pool,
    doorPool: pool,
    secretBox: createSecretBox(env.SECRET_KEY ?? '', WEBHOOK_SECRETS),
    keys: createKeyStore(pool, pool),
    accountExists: async (id) => (await findAccount(pool, id)) !== undefined,
    deliveryRules: { allowNetworks: [parseCidr('127.0.0.0/8')], allowHttp: true },
  });
  return { ...api, pool };
}
