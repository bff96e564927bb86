import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** A control store that takes longer is as good as away. */
const PROBE_TIMEOUT_MS = 2_000;

export async function isStoreUp(db: Queryable): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), PROBE_TIMEOUT_MS);
  const asked = db.query('select 1').then(
    () => true,
    () => false,
  );
  const isUp = await Promise.race([asked, timeout.promise]);
  clearTimeout(timer);
  return isUp;
}
