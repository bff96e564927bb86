import { type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import type { EnvReader } from './env.ts';
import { describeError } from './errors.ts';
import { redact } from './redact.ts';
import { currentTrace } from './tracing.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/**
 * JSON lines on standard error. An event's name is in the past tense; its fields are IDs and counts, never record bodies. A
 * line that is written in a span has its `traceId` and `spanId`.
 */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  /** `fields.error`, when it is an Error, is written with its chain of causes. */
  error(event: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** The least level of a line. */
export function readLogLevel(read: EnvReader, fallback: LogLevel): LogLevel {
  return read.oneOf('LOG_LEVEL', LEVELS, fallback);
}

/**
 * `fields` stand in every line. `write` gets each line without its line break, after secrets are masked.
 */
export function createLog(
  level: LogLevel,
  fields: LogFields = {},
  write: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Log {
  const options: LoggerOptions = {
    level,
    base: toPlain(fields),
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  return wrap(pino(options, { write: (line: string) => write(redact(line.trimEnd())) }));
}

function wrap(logger: Logger): Log {
  const emit = (level: LogLevel) => (event: string, fields?: LogFields) => {
    if (!logger.isLevelEnabled(level)) return;
    const trace = currentTrace();
    const ids = trace === undefined ? {} : { traceId: trace.traceId, spanId: trace.spanId };
    logger[level]({ event, ...ids, ...toPlain(fields ?? {}) });
  };
  return {
    debug: emit('debug'),
    info: emit('info'),
    warn: emit('warn'),
    error: emit('error'),
    child: (fields) => wrap(logger.child(toPlain(fields))),
  };
}

/** Numbers of 64 bits (LSNs, offsets) become strings, because JSON readers round them. */
function toPlain(fields: LogFields): Record<string, unknown> {
  const text = JSON.stringify(fields, (_key, member: unknown) => {
    if (typeof member === 'bigint') return member.toString();
    if (member instanceof Error) return describeError(member);
    return member;
  });
  return JSON.parse(text) as Record<string, unknown>;
}

/** For tests and tools that have nothing to say. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
