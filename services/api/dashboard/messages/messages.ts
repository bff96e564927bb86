import { audit as deAudit } from './de/audit.ts';
import { bulk as deBulk } from './de/bulk.ts';
import { entry as deEntry } from './de/entry.ts';
import { events as deEvents } from './de/events.ts';
import { exports as deExports } from './de/exports.ts';
import { faults as deFaults } from './de/faults.ts';
import { frame as deFrame } from './de/frame.ts';
import { keys as deKeys } from './de/keys.ts';
import { operator as deOperator } from './de/operator.ts';
import { overview as deOverview } from './de/overview.ts';
import { verify as deVerify } from './de/verify.ts';
import { webhooks as deWebhooks } from './de/webhooks.ts';
import { audit } from './en/audit.ts';
import { bulk } from './en/bulk.ts';
import { entry } from './en/entry.ts';
import { events } from './en/events.ts';
import { exports } from './en/exports.ts';
import { faults } from './en/faults.ts';
import { frame } from './en/frame.ts';
import { keys } from './en/keys.ts';
import { operator } from './en/operator.ts';
import { overview } from './en/overview.ts';
import { verify } from './en/verify.ts';
import { webhooks } from './en/webhooks.ts';

/** Every text of the dashboard, by the pages that show it. */
const EN = { bulk, entry, exports, faults, frame, operator, overview, verify, webhooks, events, keys, audit };

/** The texts of a language. English is written first: another language has the same members. */
export type Messages = typeof EN;

const DE: Messages = {
  bulk: deBulk,
  entry: deEntry,
  exports: deExports,
  faults: deFaults,
  frame: deFrame,
  operator: deOperator,
  overview: deOverview,
  verify: deVerify,
  webhooks: deWebhooks,
  events: deEvents,
  keys: deKeys,
  audit: deAudit,
};

const LANGUAGES: Readonly<Record<string, Messages>> = { en: EN, de: DE };

/** What people may choose from, each by its own name. */
export const LANGUAGE_NAMES = Object.entries(LANGUAGES).map(
  ([
    tag,
    {
      frame: { languageName },
    },
  ]) => ({
    tag,
    name: languageName,
  }),
);

/** In which language, and how numbers and times are written. */
export interface Language {
  /** A BCP 47 tag, such as `en-US`. */
  readonly locale: string;
  readonly text: Messages;
}

/** A language that is known. Numbers follow the locale, such as `en-GB`, also where its language is not. */
export function languageOf(locale: string): Language {
  const [name = ''] = locale.toLowerCase().split('-');
  return { locale, text: LANGUAGES[name] ?? EN };
}

const DEFAULT_LOCALE = 'en-US';

/** More than a browser sends. */
const MAX_ACCEPTED = 10;
const MAX_ACCEPTED_CHARACTERS = 500;

/** The first language of `Accept-Language` that is known, else English. */
export function acceptedLanguage(header: string | undefined): Language {
  const known = acceptedTags(header).find((tag) => LANGUAGES[primaryOf(tag)] !== undefined);
  return languageOf(known ?? DEFAULT_LOCALE);
}

/** The locale of a language that somebody chooses: as the browser has it, such as `de-AT`, if it has that language. */
export function chosenLocale(language: string, header: string | undefined): string | undefined {
  if (!Object.hasOwn(LANGUAGES, language)) return undefined;
  return acceptedTags(header).find((tag) => primaryOf(tag) === language) ?? language;
}

function primaryOf(tag: string): string {
  return tag.toLowerCase().split('-', 1)[0] ?? '';
}

function acceptedTags(header: string | undefined): string[] {
  return (header ?? '')
    .slice(0, MAX_ACCEPTED_CHARACTERS)
    .split(',', MAX_ACCEPTED)
    .flatMap((entry) => {
      const [tag = '', parameter = 'q=1'] = entry.split(';', 2).map((part) => part.trim());
      const weight = Number(/^q=(.+)$/i.exec(parameter)?.[1]);
      return isLocale(tag) && weight > 0 ? { tag, weight } : [];
    })
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag);
}

/** Numbers and times are written by it, so its parts must have the forms and the order of BCP 47. */
function isLocale(tag: string): boolean {
  if (!/^[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}$/i.test(tag)) return false;
  try {
    Intl.getCanonicalLocales(tag);
    return true;
  } catch {
    return false;
  }
}
