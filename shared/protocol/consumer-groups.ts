// Names of consumer groups and of the transactional producer, each after TOPIC_PREFIX, so that two installations may
// share a cluster. Changing one loses its offsets.

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

/** Capture's transactional ID. Of the topics, not of the slot: whoever publishes to them fences everyone else. */
export function captureTransactionalId(topicPrefix: string): string {
  return `${topicPrefix}.capture`;
}
