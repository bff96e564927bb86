import { describeError } from './errors.ts';
import { redact } from './redact.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/** JSON lines on standard error. The event name comes first and is in the past tense; fields are IDs and counts, never record bodies. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  /** `fields.error`, when it is an Error, is written with its chain of causes. */
  error(event: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export function isLogLevel(value: string): value is LogLevel {
  return Object.hasOwn(RANK, value);
}

/** Numbers of 64 bits (LSNs, offsets) are written as strings, because JSON readers round them. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return member.toString();
    if (member instanceof Error) return describeError(member);
    return member;
  });
}

export function createLog(
  level: LogLevel,
  fields: LogFields = {},
  write: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Log {
  const emit = (lineLevel: LogLevel, event: string, extra: LogFields = {}) => {
    if (RANK[lineLevel] < RANK[level]) return;
    write(redact(toJson({ time: new Date().toISOString(), level: lineLevel, event, ...fields, ...extra })));
  };
  return {
    debug: (event, extra) => emit('debug', event, extra),
    info: (event, extra) => emit('info', event, extra),
    warn: (event, extra) => emit('warn', event, extra),
    error: (event, extra) => emit('error', event, extra),
    child: (extra) => createLog(level, { ...fields, ...extra }, write),
  };
}

/** For tests and tools that have nothing to say. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
