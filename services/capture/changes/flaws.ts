import { UnencodableRowError } from '../../../shared/values/row-body.ts';
import { UnreadableTextError } from '../../../shared/values/unreadable-text-error.ts';
import { ChangeTooLargeError } from './change-size.ts';

/** A change that cannot be sent. The message names the column or the size, and no value. */
export type RowFlaw = UnencodableRowError | UnreadableTextError | ChangeTooLargeError;

/** Whether an error is the row's fault; any other error is ours or transient. */
export function isRowFlaw(error: unknown): error is RowFlaw {
  return (
    error instanceof UnencodableRowError ||
    error instanceof UnreadableTextError ||
    error instanceof ChangeTooLargeError
  );
}

export function describeFlaw(flaw: RowFlaw): string {
  const { cause } = flaw;
  return cause instanceof UnreadableTextError ? `${flaw.message}: ${cause.message}` : flaw.message;
}
