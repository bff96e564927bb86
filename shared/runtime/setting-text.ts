/** The groups of `deploy/configuration.md`, in its order. */
export const SETTING_GROUPS = {
  source: 'Source and control store',
  kafka: 'Kafka and schema registry',
  process: 'Every process',
  tracing: 'Traces',
  api: 'API',
  exports: 'Exports and files',
  feed: 'Feed and webhooks',
  bulk: 'Bulk jobs',
  local: 'Local stack',
} as const;

/** What the documentation says of one setting. Its type, default and range are where a service reads it. */
export interface SettingText {
  readonly group: keyof typeof SETTING_GROUPS;
  /** One line of a table: what it does, or what it limits. */
  readonly means: string;
  /** Shown in place of the declared default, where that depends on the machine or on another setting. */
  readonly defaultText?: string;
  /** What `npm start` sets a required one to. */
  readonly local?: string;
  /** Who reads it, when that is not a service through its `EnvReader`. */
  readonly readBy?: string;
}
