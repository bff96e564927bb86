import { z } from 'zod';

export const timestamp = z.string().meta({ format: 'date-time' });

export const count = z.int().min(0);

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    data: z.array(item),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  });
}

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
    request_id: z.string(),
  })
  .meta({ id: 'Problem' });
