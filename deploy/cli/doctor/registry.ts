import { readRegistryState } from '../../../shared/kafka/registry-http.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { type Area, close, type Found, failure, ok } from './area.ts';
import { openSession } from './database.ts';

export interface RegistryWish {
  readonly url: Secret;
  readonly prefix: string;
  /** Of the control store, which knows whether there are records that need schemas. */
  readonly controlUrl: string | undefined;
}

/** Reads only. */
export async function examineRegistry(area: Area, { url, prefix, controlUrl }: RegistryWish): Promise<void> {
  await area.attempt(
    'connect',
    'check SCHEMA_REGISTRY_URL: its host, port, path (Apicurio: /apis/ccompat/v7) and login',
    async () => {
      const state = await readRegistryState(url);
      const own = state.subjects.filter((subject) => subject.startsWith(`${prefix}.`)).length;
      return { ...state, own, isEmptied: own === 0 && (await hasFeed(area, controlUrl)) };
    },
    ({ compatibility, mode, subjects, own, isEmptied }): Found => {
      const detail = `responds; ${own} of ${subjects.length} subjects are of ${prefix}; compatibility ${compatibility}`;
      if (mode !== undefined && mode !== 'READWRITE')
        return failure(`${detail}; mode ${mode}`, 'set its mode to READWRITE: services register schemas');
      if (!isEmptied) return ok(detail);
      return failure(
        `${detail}: it was emptied, because the feed has run`,
        'restore it, or see "The registry is empty" in deploy/README.md',
      );
    },
  );
}

/** Whether the feed has ever run. A control store that can't be asked is told of by its own area. */
async function hasFeed(area: Area, url: string | undefined): Promise<boolean> {
  if (url === undefined) return false;
  try {
    const client = await openSession(area, { url });
    try {
      const { rows } = await client.query('select from tandem.feed_state limit 1');
      return rows.length > 0;
    } finally {
      await close(client.end());
    }
  } catch {
    return false;
  }
}
