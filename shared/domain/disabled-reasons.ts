/** Why a webhook endpoint was disabled, as its `status_reason` says. */
export const DISABLED_REASONS = {
  gone: 'the endpoint returned 410 Gone',
  failing: 'every delivery has failed for days',
  missed:
    'undelivered events are no longer retained: replay from a later position or after a new export, then resume',
} as const;
