import type { KeyObject } from 'node:crypto';
import type { EndpointRow } from '../../../shared/control/webhooks/lease-endpoints.ts';
import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import { isVisible, parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { openHeaders, type SecretBox } from '../../../shared/runtime/secret-box.ts';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import { type EndpointHealth, HEALTHY, isOpen } from './endpoint-health.ts';

/** The settings that decide which events an endpoint gets. */
export interface EventSelection {
  /** `*`, `invoice.*` or `invoice.created`. */
  readonly patterns: readonly string[];
  /** The export after which the feed starts; undefined when it started without one. */
  readonly handOff: { readonly snapshot: Snapshot; readonly untilLsn: bigint } | undefined;
}

/**
 * Whether the export's files already hold a change. The visibility of its transaction to the snapshot decides, not its
 * position: up to the seal the two may disagree, and behind the seal everything is later than the snapshot. A reset
 * after a gap belongs to no transaction (xid 0) and is in no file, because the lost changes may not be visible to the
 * snapshot.
 */
export function isInExport(
  event: { readonly commitLsn: bigint; readonly xid: bigint },
  handOff: EventSelection['handOff'],
): boolean {
  return (
    handOff !== undefined &&
    event.xid !== 0n &&
    event.commitLsn <= handOff.untilLsn &&
    isVisible(event.xid, handOff.snapshot)
  );
}

/** Whether an endpoint gets an event at all. */
export function isEventWanted(
  { patterns, handOff }: EventSelection,
  event: Pick<LoggedEvent, 'position' | 'xid' | 'type' | 'resource'>,
  singularOf: (resource: string) => string | undefined,
): boolean {
  return (
    isTypeWanted(patterns, event.type, singularOf(event.resource)) &&
    !isInExport({ commitLsn: event.position.commitLsn, xid: event.xid }, handOff)
  );
}

export interface SigningKey {
  readonly key: KeyObject;
  /** When the key stops signing, in epoch milliseconds; Infinity for the current one. */
  readonly expiresAtMs: number;
}

/** How events are grouped into requests. */
export interface Batching {
  readonly maxEvents: number;
  /** How long the first event of an incomplete batch waits for others. */
  readonly maxWaitMs: number;
}

/** What an event must not overtake: earlier events of its record, or any earlier event. */
export type DeliveryOrder = 'record' | 'strict';

/** The owner's settings of an endpoint, as far as they concern delivery. */
export interface EndpointSettings {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly selection: EventSelection;
  readonly maxInFlight: number;
  /** Requests per second; undefined for no limit. */
  readonly rateLimit: number | undefined;
  /** Undefined when each event is a request of its own. */
  readonly batching: Batching | undefined;
  /** `record`: events of each record in order. `strict`: the whole feed in order, one request at a time. */
  readonly order: DeliveryOrder;
  readonly isActive: boolean;
  readonly keys: readonly SigningKey[];
  readonly settingsVersion: number;
  readonly cursorEpoch: number;
  /** Grows with each claim, so that late saves of an earlier holder are refused. */
  readonly leaseEpoch: number;
}

/** An endpoint as read from the control store. */
export interface Endpoint {
  readonly settings: EndpointSettings;
  readonly cursor: Position;
  readonly done: readonly string[];
  readonly health: EndpointHealth;
}

/**
 * Reads an endpoint. One whose secret or headers can't be decrypted has no keys and gets nothing. Its events are kept
 * until the operator sets the right key, and other endpoints are not affected.
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
      leaseEpoch: row.lease_epoch,
    },
    cursor: { commitLsn: parseLsn(row.cursor_lsn), index: row.cursor_idx },
    done: row.done,
    // A dispatcher that takes over a failing endpoint continues to probe, one request at a time.
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
