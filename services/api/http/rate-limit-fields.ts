import { AppError } from '../../../shared/runtime/errors.ts';

/** A number of requests in a time, under the name that clients see. */
export interface RatePolicy {
  readonly name: string;
  readonly quota: number;
  readonly per: 'second' | 'minute';
}

export const WINDOW_SECONDS = { second: 1, minute: 60 } as const;

/** What a policy still allows at present. */
export interface RateState {
  readonly policy: RatePolicy;
  readonly remaining: number;
  /** Until the whole quota is available again. */
  readonly resetsInMs: number;
}

/** The headers of draft-ietf-httpapi-ratelimit-headers, in the form of its versions since 08: lists of names with parameters. */
export function rateLimitFields(
  policies: readonly RatePolicy[],
  states: readonly RateState[],
): Readonly<Record<string, string>> {
  const policyItems = policies.map(({ name, quota, per }) => `"${name}";q=${quota};w=${WINDOW_SECONDS[per]}`);
  const stateItems = states.map(
    ({ policy, remaining, resetsInMs }) =>
      `"${policy.name}";r=${Math.max(0, remaining)};t=${toSeconds(resetsInMs)}`,
  );
  return { 'ratelimit-policy': policyItems.join(', '), ratelimit: stateItems.join(', ') };
}

/** A request over a rate. Its response has the policies and says which one is used up. */
export class RateExceededError extends AppError {
  readonly fields: Readonly<Record<string, string>>;

  constructor(whose: string, policies: readonly RatePolicy[], { policy, resetsInMs }: RateState) {
    const { quota, per } = policy;
    super(
      'too_many',
      `${whose} exceeds its limit: more than ${quota} requests per ${per}. Slow down and try again.`,
      {
        retryAfterSeconds: toSeconds(resetsInMs),
      },
    );
    this.fields = rateLimitFields(policies, [{ policy, remaining: 0, resetsInMs }]);
  }
}

/** Rounded up, so that a client that waits as long is not too early. */
function toSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}
