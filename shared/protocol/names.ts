// Names by which services find each other outside of topics and storage.

// Consumer groups and the transactional producer, each after TOPIC_PREFIX, so that two installations may share a
// cluster. Changing one loses its offsets.

/**
 * The consumer group by which the dispatcher records changes. Its committed offsets say what is in the event log: they
 * follow the insert, and pass the markers of Kafka transactions too, so that they reach a partition's end.
 */
export function recorderGroup(topicPrefix: string): string {
  return `${topicPrefix}.dispatcher`;
}

/** The dispatcher's group on the state of the feed. */
export function feedMirrorGroup(topicPrefix: string): string {
  return `${recorderGroup(topicPrefix)}.feed`;
}

/** The writer's group on rows. Its committed offsets say which rows are in parts. */
export function rowsGroup(topicPrefix: string): string {
  return `${topicPrefix}.writer`;
}

/** The extractor's group on commands, which are notifications only. */
export function commandsGroup(topicPrefix: string): string {
  return `${topicPrefix}.extractor`;
}

/** Capture's transactional ID. It belongs to the topics, not to the slot: a process that publishes to them fences all others. */
export function captureTransactionalId(topicPrefix: string): string {
  return `${topicPrefix}.capture`;
}

// Subjects of the schema registry.

/** What of an Avro schema names it. */
interface NamedSchema {
  readonly namespace?: unknown;
  readonly name?: unknown;
}

/** The names under which schemas stand in the registry. All services take them from here, by the same TOPIC_PREFIX. */
export interface Subjects {
  /** Of messages and changes: by record name, because one topic carries several types (RecordNameStrategy). */
  ofRecord(schema: NamedSchema): string;
}

const USUAL_TOPIC_PREFIX = 'tandem';

/** The usual prefix adds nothing. Another one comes first, so that two installations may share a registry. */
export function subjectsOf(topicPrefix: string): Subjects {
  const prefix = topicPrefix === USUAL_TOPIC_PREFIX ? '' : `${topicPrefix}.`;
  return { ofRecord: ({ namespace, name }) => `${prefix}${String(namespace)}.${String(name)}` };
}

/** Of rows: by their topic, which has the prefix already (TopicNameStrategy). */
export function rowsSubject(rowsTopic: string): string {
  return `${rowsTopic}-value`;
}

// Channels of LISTEN and NOTIFY in the control store. Triggers of shared/control/migrations notify them too.

/** There are new events. */
export const EVENTS_CHANNEL = 'tandem_events';

/** A webhook endpoint, a test delivery or an account event was written; the payload is an ID. */
export const WEBHOOKS_CHANNEL = 'tandem_webhooks';

/** The feed has passed an export's seal; the payload is the export's ID. */
export const SEALS_CHANNEL = 'tandem_seals';

/** An export is read and sealed, and may be assembled; the payload is its ID. */
export const ASSEMBLIES_CHANNEL = 'tandem_assemblies';
