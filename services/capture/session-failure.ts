import kafkajs from 'kafkajs';
import { DatabaseError } from 'pg';
import { TableMisfitError } from './aside/misfits.ts';
import { SlotHeldError } from './source/slot.ts';
import { SourceLostError } from './source/source-queries.ts';
import { StreamLostError } from './source/stream.ts';

// Node can't see this name among the package's exports, which are CommonJS; only the whole of them.
const { KafkaJSError } = kafkajs;

/** `wait`: another instance is at work. `retry`: something outside broke, and comes back. `stop`: a person is needed, or it is a bug. */
export type SessionFailure = 'wait' | 'retry' | 'stop';

/** Held by another connection: two instances tried at the same moment. */
const OBJECT_IN_USE = '55006';

/** Connection exceptions, insufficient resources, operator intervention (a server that shuts down or starts), system errors. */
const PASSING_SQLSTATE_CLASSES = ['08', '53', '57', '58'];

/** Of Node's sockets, for what is reached by neither of the clients above: the schema registry. */
const PASSING_CODES = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
];

const PASSING_ERRORS = [KafkaJSError, StreamLostError, SourceLostError, TableMisfitError];

export function judgeFailure(error: unknown): SessionFailure {
  for (const link of chainOf(error)) {
    if (link instanceof SlotHeldError) return 'wait';
    if (link instanceof DatabaseError) {
      if (link.code === OBJECT_IN_USE) return 'wait';
      return PASSING_SQLSTATE_CLASSES.includes(link.code?.slice(0, 2) ?? '') ? 'retry' : 'stop';
    }
    if (PASSING_ERRORS.some((passing) => link instanceof passing)) return 'retry';
    const { code } = link as { code?: unknown };
    if (typeof code === 'string' && PASSING_CODES.includes(code)) return 'retry';
  }
  return 'stop';
}

/** The error and its causes; ends after eight links, so that a cycle can't hang it. */
function chainOf(error: unknown): Error[] {
  const chain: Error[] = [];
  let current = error;
  while (current instanceof Error && chain.length < 8) {
    chain.push(current);
    current = current.cause;
  }
  return chain;
}
