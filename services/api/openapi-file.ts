import { stringify } from 'yaml';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { openApiOf, type Reader } from './docs/openapi.ts';
import { type AppDeps, routesOf } from './server.ts';

/** The catalog of the checked-in document: the one of the examples in the README. */
const CATALOG = 'schemas/catalogs/documint.yaml';

/** What differs between servers, so that the file changes with the contract alone. */
const NEUTRAL = { version: '0.0.0', server: 'https://tandem.example.com' };

/** The document that is checked in as `schemas/openapi.yaml`: customers', of the DocuMint catalog. The clients are made from the operator's. */
export async function neutralDocument(reader: Reader = 'customer', path = CATALOG) {
  const catalog = await loadCatalog(path);
  return openApiOf(routesOf(withoutParts(catalog)), { ...NEUTRAL, reader, catalog });
}

/** What routes are made from, without the parts that only their handlers use: no handler runs. */
function withoutParts(catalog: Catalog): AppDeps {
  const limits = { max: 1, perAccount: 1, waitMs: 0 };
  const facts = {
    catalog,
    deliveryRules: { allowNetworks: [], allowHttp: false },
    syncApplyLimits: limits,
    slotName: 'tandem',
  };
  const features = {
    http: facts,
    exports: facts,
    bulk: facts,
    webhooks: facts,
    events: facts,
    account: facts,
    catalog: facts,
    admin: facts,
  };
  return { version: NEUTRAL.version, ...features } as unknown as AppDeps;
}

/** The text of `schemas/openapi.yaml`. */
export async function openApiFile(): Promise<string> {
  const notice = '# Written by `npm run openapi` from the routes and schemas of services/api. Do not edit.\n';
  return (
    notice +
    stringify(await neutralDocument(), { lineWidth: 120, aliasDuplicateObjects: false, compat: 'yaml-1.1' })
  );
}
