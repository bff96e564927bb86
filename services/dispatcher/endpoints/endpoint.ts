import type { KeyObject } from 'node:crypto';
import type { Position } from '../../../shared/domain/position.ts';
import type { EndpointHealth } from './endpoint-health.ts';
import type { EventSelection } from './event-filter.ts';

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
}

/** An endpoint as it was found in the control store. */
export interface Endpoint {
  readonly settings: EndpointSettings;
  readonly cursor: Position;
  readonly done: readonly string[];
  readonly health: EndpointHealth;
}
