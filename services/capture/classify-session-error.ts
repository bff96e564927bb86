import { causesOf, classifyTransient } from '../../shared/runtime/transient.ts';
import { TableMisfitError } from './aside/misfits.ts';
import { SlotHeldError } from './replication/slot.ts';
import { SourceLostError } from './replication/source-queries.ts';
import { StreamLostError } from './replication/stream.ts';

/**
 * `wait`: another instance is active. `retry`: a transient error outside. `stop`: an operator has to act, or it is a
 * bug.
 */
export type SessionFailure = 'wait' | 'retry' | 'stop';

const PASSING_ERRORS = [StreamLostError, SourceLostError, TableMisfitError];

export function classifySessionError(error: unknown): SessionFailure {
  for (const link of causesOf(error)) {
    if (link instanceof SlotHeldError) return 'wait';
    if (PASSING_ERRORS.some((passing) => link instanceof passing)) return 'retry';
  }
  const transient = classifyTransient(error);
  if (transient === 'in_use') return 'wait';
  // A new password needs a restart.
  return transient === undefined || transient === 'credentials' ? 'stop' : 'retry';
}
