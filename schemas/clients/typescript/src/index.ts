export { Tandem, type TandemOptions } from './client.ts';
export * from './errors.ts';
export type { EventPage } from './events.ts';
export type { JobPromise, WaitOptions } from './jobs.ts';
export type { Page, Pages } from './pages.ts';
export {
  type FollowOptions,
  type LoadProgress,
  Replica,
  type ReplicaOptions,
  type ReplicaStatus,
} from './replica.ts';
export type {
  CheckOptions,
  CheckProgress,
  CountAndDigest,
  RecordDifference,
  ReplicaCheck,
  ResourceCheck,
} from './replica-check.ts';
export type { ReplicaStore, ScannedRecord, StoredRecord, StoreTransaction } from './replica-store.ts';
export type { ReplicaWebhook } from './replica-subscribe.ts';
export type { CallOptions } from './transport.ts';
export type * from './types.ts';
export { type Delivery, type RequestHeaders, type VerifyOptions, verifyWebhook } from './verify.ts';
export { VERSION } from './version.ts';
