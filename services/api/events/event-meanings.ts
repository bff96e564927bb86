/** What each event type reports; types of records say it by their last part. */
const MEANINGS: Readonly<Record<string, string>> = {
  created: 'A record was created, or became visible to the account again.',
  updated: 'A record was changed.',
  deleted: 'A record was deleted, soft-deleted, or is no longer visible to the account.',
  'feed.reset': 'Changes that no event reports: the resources in `data.resources` need a new export.',
  'feed.stalled': 'The feed stands still. `GET /feed` shows the reason.',
  'feed.resumed': 'The feed moves again.',
  'export.completed': 'An export has completed: its files are ready.',
  'export.failed': 'An export has failed.',
  'export.expiring': 'The files of an export will be removed soon.',
  'bulk.completed': 'A bulk job has completed.',
  'bulk.failed': 'A bulk job has failed.',
  'webhook.disabled': 'Another webhook endpoint of the account was disabled after days of failures.',
  'webhook.test': 'The test that `POST /webhooks/{id}/test` sends.',
};

/** What an event of the type reports. Markdown. */
export function meaningOf(type: string): string {
  return MEANINGS[type] ?? MEANINGS[type.split('.').at(-1) ?? ''] ?? type;
}
