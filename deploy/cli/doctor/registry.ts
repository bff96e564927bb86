import { readRegistryState } from '../../../shared/kafka/registry.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { type Area, type Found, failure, ok } from './area.ts';

/** Reads only. */
export async function examineRegistry(
  area: Area,
  { url, prefix }: { readonly url: Secret; readonly prefix: string },
): Promise<void> {
  await area.attempt(
    'connect',
    'check SCHEMA_REGISTRY_URL: its host, port, path (Apicurio: /apis/ccompat/v7) and login',
    () => readRegistryState(url),
    ({ compatibility, mode, subjects }): Found => {
      const own = subjects.filter((subject) => subject.startsWith(`${prefix}.`)).length;
      const detail = `responds; ${own} of ${subjects.length} subjects are of ${prefix}; compatibility ${compatibility}`;
      if (mode === undefined || mode === 'READWRITE') return ok(detail);
      return failure(`${detail}; mode ${mode}`, 'set its mode to READWRITE: services register schemas');
    },
  );
}
