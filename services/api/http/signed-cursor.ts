import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';

/**
 * A cursor that clients can neither read anything into nor alter. It is bound to what it pages through (`list` names
 * the list, its account and its filter), so that a cursor of one list is not taken for a place in another.
 */
export function writeCursor(signer: Signer, list: string, place: unknown): string {
  const text = Buffer.from(JSON.stringify(place)).toString('base64url');
  return `${text}.${signer.sign(`${list}\n${text}`)}`;
}

/** @throws AppError `invalid` for a cursor that is not ours, or of another list */
export function readCursor<Place>(signer: Signer, list: string, cursor: string, parameter = 'cursor'): Place {
  const [text, signature, ...rest] = cursor.split('.');
  const isOurs =
    text !== undefined &&
    signature !== undefined &&
    rest.length === 0 &&
    signer.verify(`${list}\n${text}`, signature);
  if (!isOurs) {
    const detail = 'is not a cursor of this list; use the next_cursor of the same list and filter';
    throw new AppError('invalid', `${parameter} ${detail}`, { errors: [{ pointer: parameter, detail }] });
  }
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Place;
}
