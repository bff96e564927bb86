import type { Delivery } from '../store/delivery.ts';

/** One record's deliveries at one endpoint, in the order of positions. */
export interface Lane {
  readonly key: string;
  /** All of them before what is queued. */
  parked: Delivery[];
  queued: Delivery[];
  /** Some of it is in a parcel that was taken. */
  isBusy: boolean;
  /** It is among those that may start. */
  isReady: boolean;
}
