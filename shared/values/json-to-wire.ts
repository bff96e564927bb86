import type { ValueType } from '../domain/row-shape.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

/**
 * The way back from `wireToJson`: a value's wire text from its JSON text, byte for byte. SQL NULL and a JSON null have the
 * same JSON, so `null` is not for this function to judge.
 *
 * @throws UnreadableTextError when the JSON is not of that kind
 */
export function jsonToWireText(kind: ValueType['kind'], json: string): string {
  switch (kind) {
    case 'json':
      return json;
    case 'int':
    case 'long':
      if (!/^-?\d+$/.test(json)) throw new UnreadableTextError('an integer in JSON');
      return json;
    case 'boolean':
      if (json !== 'true' && json !== 'false') throw new UnreadableTextError('a boolean in JSON');
      return json;
    case 'float':
    case 'double':
      return json.startsWith('"') ? readString(json) : json;
    case 'bytes':
    case 'string':
      return readString(json);
  }
}

function readString(json: string): string {
  const value: unknown = json.startsWith('"') ? JSON.parse(json) : undefined;
  if (typeof value !== 'string') throw new UnreadableTextError('a string in JSON');
  return value;
}
