import { z } from 'zod';

export const timestamp = z.string().meta({ format: 'date-time' });

export const count = z.int().min(0);

/** A secret in the response that creates it. A repeat with another API key gets `secret_withheld` in its place. */
export function secretFields<const Name extends string>(name: Name, description: string) {
  return {
    [name]: z.string().optional().meta({ description }),
    secret_withheld: z.string().optional().meta({
      description: 'Why the secret is not shown: another API key has repeated the request.',
    }),
  } as Readonly<Record<Name | 'secret_withheld', z.ZodOptional<z.ZodString>>>;
}

/** One page of a list. The list of a component is a component too: of `Export`, `ExportList`. */
export function listOf<Item extends z.ZodType>(item: Item) {
  const known = lists.get(item);
  if (known !== undefined) return known as ReturnType<typeof newList<Item>>;
  const list = newList(item);
  const { id } = item.meta() ?? {};
  const named = id === undefined ? list : list.meta({ id: `${id}List` });
  lists.set(item, named);
  return named;
}

const lists = new WeakMap<z.ZodType, z.ZodType>();

function newList<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    data: z.array(item),
    has_more: z.boolean().meta({ description: 'Whether another page follows.' }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Send it as `cursor` to get the next page. Null: there is none.' }),
  });
}

/** The example of a list with one item and no further page. */
export function pageOf(item: unknown) {
  return { data: [item], has_more: false, next_cursor: null };
}

export const problemSchema = z
  .looseObject({
    type: z.string().meta({ format: 'uri-reference', description: 'Names the code.' }),
    title: z.string(),
    status: z.int().meta({ description: 'The HTTP status.' }),
    detail: z.string().meta({ description: 'What went wrong, for people.' }),
    code: z.string().meta({ description: 'What went wrong, for programs.' }),
    errors: z
      .array(
        z.strictObject({
          pointer: z.string().meta({
            description: 'JSON pointer into the body (RFC 6901), or the name of a parameter.',
          }),
          detail: z.string(),
        }),
      )
      .optional()
      .meta({ description: 'Each fault of the request.' }),
    request_id: z.string().meta({ description: 'The same as X-Request-Id. Name it to support.' }),
  })
  .meta({ id: 'Problem', description: 'A problem document (RFC 9457). Some codes have further members.' });
