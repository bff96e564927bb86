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
 * The shape of a resource's rows in an export: by the schema they were encoded with, and without rows by the newest
 * schema of their topic. Of a table that no row was ever read from there is none, and then the shape has no columns.
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
