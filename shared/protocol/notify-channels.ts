// Channels of LISTEN and NOTIFY in the control store. Triggers of shared/control/migrations notify them too.

/** There are new events. */
export const EVENTS_CHANNEL = 'tandem_events';

/** A webhook endpoint, a test delivery or an account event was written; the payload is an ID. */
export const WEBHOOKS_CHANNEL = 'tandem_webhooks';
