import type { PublicField } from '../domain/public-field.ts';
import type { FieldEntry } from './catalog-schema.ts';

/** A field of the catalog's file as the rest of Tandem has it. */
export function toPublicField([name, entry]: readonly [name: string, entry: FieldEntry]): PublicField {
  const { column = '', map, otherwise, path, type, value } = entry;
  if (value !== undefined) return { name, value };
  if (path !== undefined) return { name, column, path, type: type ?? 'json' };
  if (map === undefined) return { name, column };
  return { name, column, map, ...(otherwise === undefined ? {} : { otherwise }) };
}
