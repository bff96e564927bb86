/** A record by its resource, and by its key as `referenceText` writes it. */
export interface RecordRef {
  readonly resource: string;
  readonly key: string;
}

/** One text for both; a resource's name has no slash. */
export function recordId({ resource, key }: RecordRef): string {
  return `${resource}/${key}`;
}

export function parseRecordId(id: string): RecordRef {
  const slash = id.indexOf('/');
  return { resource: id.slice(0, slash), key: id.slice(slash + 1) };
}
