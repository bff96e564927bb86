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
