/**
 * The consumer group by which the dispatcher records changes. Its committed offsets say what is in the event log: they
 * follow the insert, and pass the markers of Kafka transactions too, so that they reach a partition's end.
 */
export function recorderGroup(topicPrefix: string): string {
  return `${topicPrefix}.dispatcher`;
}
