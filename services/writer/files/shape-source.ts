import type { RowShape } from '../../../shared/domain/row-shape.ts';
import type { AvroSchemaJson } from '../../../shared/kafka/registry.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { rowsSubject } from '../../../shared/protocol/subjects.ts';
import { readRowSchema } from '../../../shared/values/row-schema.ts';

interface SchemaSource {
  fetch(id: number): Promise<AvroSchemaJson>;
  latest(subject: string): Promise<AvroSchemaJson | undefined>;
}

/**
 * The row type of a resource in an export: from the schema of its rows, or without rows from the newest schema of their
 * topic. A table from which no row was ever read has no schema; its row type has no columns.
 */
export function createShapeSource(registry: SchemaSource, topics: Topics) {
  return async (resource: string, schemaId: number | undefined): Promise<RowShape> => {
    const schema =
      schemaId === undefined
        ? await registry.latest(rowsSubject(topics.rows(resource)))
        : await registry.fetch(schemaId);
    return schema === undefined ? { resource, columns: [] } : readRowSchema(schema);
  };
}
