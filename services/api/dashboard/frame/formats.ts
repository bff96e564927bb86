import { type Html, html } from '../../pages/html.ts';
import type { Language } from '../messages/messages.ts';

/** Formats numbers and times for a locale. Times are in UTC. */
export interface Formats {
  number(value: number): string;
  percent(share: number): string;
  bytes(value: number): string;
  /** `3 min` */
  duration(seconds: number): string;
  /** `30 Nov 2026, 02:23:05 UTC` */
  utc(at: string): string;
  /** `3 minutes ago` */
  relative(at: string): string;
  /** Like `relative`, for a time that many seconds ago. */
  ago(seconds: number): string;
  /** Relative, with the time in UTC as a tooltip. */
  time(at: string | null): Html | string;
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

export function createFormats({ locale, text }: Language, nowMs: number): Formats {
  const plain = new Intl.NumberFormat(locale);
  const share = new Intl.NumberFormat(locale, { style: 'percent' });
  const date = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' });
  const ago = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const inUnit = (value: number, unit: string, digits = 0, unitDisplay: 'short' | 'long' = 'short') =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit,
      unitDisplay,
      maximumFractionDigits: digits,
    }).format(value);
  const utc = (at: string) => `${date.format(new Date(at))} UTC`;
  const fromNow = (seconds: number) => {
    const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ['second', 1];
    return Math.abs(seconds) < 1 ? text.frame.now : ago.format(Math.round(seconds / size), unit);
  };
  const relative = (at: string) => fromNow((Date.parse(at) - nowMs) / 1_000);
  return {
    number: (value) => plain.format(value),
    percent: (value) => share.format(value),
    bytes(value) {
      const power = Math.min(
        BYTE_UNITS.length - 1,
        Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)),
      );
      if (power === 0) return inUnit(value, 'byte', 0, 'long');
      return inUnit(value / 1_000 ** power, BYTE_UNITS[power] ?? 'byte', 1);
    },
    duration(seconds) {
      const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ['second', 1];
      return inUnit(Math.round(seconds / size), unit);
    },
    utc,
    relative,
    ago: (seconds) => fromNow(-seconds),
    time: (at) =>
      at === null ? text.frame.none : html`<time datetime="${at}" title="${utc(at)}">${relative(at)}</time>`,
  };
}
