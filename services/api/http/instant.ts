import { z } from 'zod';

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?([Zz]|[+-]\d{2}:\d{2})$/;

/** Years 1 to 9999 in UTC: RFC 3339 writes no others, and PostgreSQL has no year 0. */
const FIRST = BigInt(Date.parse('0001-01-01T00:00:00Z')) * 1_000n;
const LAST = BigInt(Date.parse('9999-12-31T23:59:59.999Z')) * 1_000n + 999n;

/**
 * Parses a time of RFC 3339 with a zone to microseconds since 1970.
 *
 * @returns undefined for any other text, and for a time that is not in the years 1 to 9999 of UTC
 */
export function parseInstant(text: string): bigint | undefined {
  const match = INSTANT.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const zoneMinutes = parseZone(match[8] ?? 'Z');
  if (hour > 23 || minute > 59 || second > 59 || zoneMinutes === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  // A day that the month does not have rolls over into the next month.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const fraction = BigInt((match[7] ?? '').padEnd(6, '0'));
  const micros = BigInt(date.getTime() - zoneMinutes * 60_000) * 1_000n + fraction;
  return micros < FIRST || micros > LAST ? undefined : micros;
}

/** RFC 3339 in UTC, with as many digits of the fraction as needed. */
export function formatInstant(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const whole = new Date(Number((micros - fraction) / 1_000n)).toISOString().slice(0, 19);
  const digits = String(fraction).padStart(6, '0').replace(/0+$/, '');
  return `${whole}${digits === '' ? '' : `.${digits}`}Z`;
}

function parseZone(text: string): number | undefined {
  if (text.toUpperCase() === 'Z') return 0;
  const [hours = 99, minutes = 99] = text.slice(1).split(':').map(Number);
  if (hours > 23 || minutes > 59) return undefined;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

/** A time in a request, which becomes UTC: PostgreSQL knows fewer zones than RFC 3339. */
export const instantSchema = z
  .string()
  .refine((text) => parseInstant(text) !== undefined, {
    error:
      'must be an RFC 3339 timestamp with a zone, for example 2026-01-31T00:00:00Z, with at most 6 decimals',
  })
  .overwrite((text) => {
    const micros = parseInstant(text);
    return micros === undefined ? text : formatInstant(micros);
  })
  .meta({ format: 'date-time' });
