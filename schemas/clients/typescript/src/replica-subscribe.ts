import type { Tandem } from './client.ts';
import { ConflictError, NotFoundError, ReplicaError } from './errors.ts';
import type { Change } from './replica-load.ts';
import type { Subscription } from './replica-state.ts';
import type { Body } from './types.ts';

/** The endpoint of a replica: where your server is, and any setting of `webhooks.create` besides its start and filter. */
export type ReplicaWebhook = Omit<Body<'createWebhook'>, 'start' | 'events' | 'account_id'>;

/** Few requests, and the transactions of the source in their order. */
const DEFAULTS = { batch: { max_events: 500, max_wait_ms: 200 }, order: 'strict' } as const;

/**
 * Creates the endpoint that follows the export of the replica, and deletes that of a former one; or continues with the
 * endpoint that is there.
 *
 * @returns false when the endpoint is gone or disabled, or has given up an event, so that changes may be lost
 * @throws ApiError, also when the events after the export are no longer retained
 */
export async function subscribe(
  client: Tandem,
  change: Change,
  webhook: ReplicaWebhook,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const state = await change((_, now) => now);
  const { exportId, attempt, webhook: known } = state ?? {};
  if (state?.loading !== undefined || exportId === undefined || attempt === undefined) return true;
  if (known?.exportId === exportId) return resubscribe(client, change, known, webhook, signal);
  if (known !== undefined) await client.webhooks.delete(known.id, { signal }).catch(unlessMissing);
  const request = { ...DEFAULTS, ...webhook, events: ['*'], start: { after_export: exportId } };
  // A process that dies before it has stored the response finds the same endpoint again.
  const created = await client.webhooks.create(request, { idempotencyKey: `${attempt}-webhook`, signal });
  const { id } = created;
  // The response to a key is given again without the secret, if it was another API key that asked first.
  const secret = created.secret ?? (await client.webhooks.rotateSecret(id, { signal })).secret;
  if (secret === undefined) throw new ReplicaError(`The API shows no secret of ${id}.`);
  await change((_, now) => now && { ...now, webhook: { id, url: webhook.url, secrets: [secret], exportId } });
  return true;
}

async function resubscribe(
  client: Tandem,
  change: Change,
  { id, url }: Subscription,
  webhook: ReplicaWebhook,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const found = await client.webhooks.get(id, { signal }).catch(unlessMissing);
  if (found === undefined || found.status === 'disabled') return false;
  // An event that was given up is delivered no more by itself, and those behind it have been.
  const [given] = (await client.webhooks.deadLetters(id, { limit: 1 }, { signal }).page()).data;
  if (given !== undefined) return false;
  // The event failed while this process did not run, and its retry may be hours away. All others wait for it.
  if (found.held_by !== null) {
    await client.events.redeliver(found.held_by, id, { signal }).catch(unlessSettled);
  }
  if (url !== webhook.url) {
    await client.webhooks.update(id, webhook, { signal });
    await change((_, now) => now && { ...now, webhook: now.webhook && { ...now.webhook, url: webhook.url } });
  }
  return true;
}

/** It was delivered, or has expired, since. */
function unlessSettled(error: unknown): void {
  if (!(error instanceof NotFoundError || error instanceof ConflictError)) throw error;
}

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}
