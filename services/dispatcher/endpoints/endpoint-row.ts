import type { EndpointRow } from '../../../shared/control/webhooks/lease-endpoints.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { parseSnapshot } from '../../../shared/domain/snapshot.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { openHeaders, type SecretBox } from '../../../shared/runtime/secret-box.ts';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import type { Endpoint, SigningKey } from './endpoint.ts';
import { HEALTHY, isOpen } from './endpoint-health.ts';

/**
 * An endpoint whose secret or headers do not open has no keys and gets nothing: its events are kept until the operator has
 * set the right key, and no other endpoint is held up by it.
 */
export function toEndpoint(
  row: EndpointRow,
  box: Pick<SecretBox, 'open'>,
  log: Pick<Log, 'error'>,
): Endpoint {
  const { keys, headers } = openSecrets(row, box, log);
  const { handoff_snapshot: snapshot, handoff_until_lsn: untilLsn } = row;
  const health = {
    failuresInRow: row.failures_in_row,
    failingSinceMs: row.failing_since?.getTime(),
    restUntilMs: row.rest_until?.getTime() ?? 0,
    window: HEALTHY.window,
  };
  return {
    settings: {
      id: row.id,
      accountId: row.account_id,
      url: row.url,
      headers,
      selection: {
        patterns: row.events,
        handOff:
          snapshot === null || untilLsn === null
            ? undefined
            : { snapshot: parseSnapshot(snapshot), untilLsn: parseLsn(untilLsn) },
      },
      maxInFlight: row.max_in_flight,
      rateLimit: row.rate_limit ?? undefined,
      batching:
        row.batch === null
          ? undefined
          : { maxEvents: row.batch.max_events, maxWaitMs: row.batch.max_wait_ms },
      order: row.delivery_order,
      isActive: row.status === 'active',
      keys,
      settingsVersion: row.settings_version,
      cursorEpoch: row.cursor_epoch,
    },
    cursor: { commitLsn: parseLsn(row.cursor_lsn), index: row.cursor_idx },
    done: row.done,
    // A dispatcher that takes over a failing endpoint goes on probing, one at a time.
    health: isOpen(health) ? { ...health, window: 1 } : health,
  };
}

function openSecrets(
  row: EndpointRow,
  box: Pick<SecretBox, 'open'>,
  log: Pick<Log, 'error'>,
): { keys: SigningKey[]; headers: Readonly<Record<string, string>> } {
  try {
    const keys = row.secrets.map((secret) => ({
      key: secretToKey(box.open(secret.ciphertext)),
      expiresAtMs: secret.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(secret.expires_at),
    }));
    return { keys, headers: openHeaders(row.headers, box) };
  } catch (error) {
    log.error('endpoint.secret_not_opened', {
      endpointId: row.id,
      remedy:
        'start the dispatcher with the SECRET_KEY of the api that made the endpoint, or rotate its secret',
      error,
    });
    return { keys: [], headers: {} };
  }
}
