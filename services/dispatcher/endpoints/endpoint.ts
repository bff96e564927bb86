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

/** The parts of an endpoint that say which events it gets. */
export interface EventSelection {
  /** `*`, `invoice.*` or `invoice.created`. */
  readonly patterns: readonly string[];
  /** Where the feed takes over from an export; undefined when it started without one. */
  readonly handOff: { readonly snapshot: Snapshot; readonly untilLsn: bigint } | undefined;
}

/**
 * Whether the export's files hold a change already. Its transaction's visibility decides, never its position: up to
 * the seal the two need not agree, and from there on everything is later than the snapshot. A reset behind a gap is of no
 * transaction (xid 0), and in no file: what was lost there need not have been visible to the snapshot.
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
  /** From then on it no longer signs, in epoch milliseconds; Infinity for the current one. */
  readonly expiresAtMs: number;
}

/** How events are put together into requests. */
export interface Batching {
  readonly maxEvents: number;
  /** How long the first event of a batch that is not full waits for others. */
  readonly maxWaitMs: number;
}

/** What must not be overtaken: earlier events of the same record, or any earlier event. */
export type DeliveryOrder = 'record' | 'strict';

/** What the owner of an endpoint set, as far as delivery is concerned. */
export interface EndpointSettings {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly selection: EventSelection;
  readonly maxInFlight: number;
  /** Requests per second; undefined for as many as the window lets through. */
  readonly rateLimit: number | undefined;
  /** Undefined when each event is a request. */
  readonly batching: Batching | undefined;
  /** `record`: the events of each record in order. `strict`: the whole feed, one request at a time. */
  readonly order: DeliveryOrder;
  readonly isActive: boolean;
  readonly keys: readonly SigningKey[];
  readonly settingsVersion: number;
  readonly cursorEpoch: number;
  /** Another with each claim, so that what an earlier holder saves late is void. */
  readonly leaseEpoch: number;
}

/** An endpoint as it was found in the control store. */
export interface Endpoint {
  readonly settings: EndpointSettings;
  readonly cursor: Position;
  readonly done: readonly string[];
  readonly health: EndpointHealth;
}

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
      leaseEpoch: row.lease_epoch,
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
