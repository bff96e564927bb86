import { expect, test } from 'vitest';
import { createFormats } from '../frame/formats.ts';
import { acceptedLanguage, languageOf } from './messages.ts';

test.each([
  [undefined, 'en-US', 'Exports'],
  ['', 'en-US', 'Exports'],
  ['de-AT,de;q=0.9,en;q=0.8', 'de-AT', 'Exporte'],
  ['fr,en;q=0.4,DE;q=0.8', 'DE', 'Exporte'],
  ['de;q=0, en-GB', 'en-GB', 'Exports'],
  ['fr', 'en-US', 'Exports'],
  ['*;q=1, "><script>, de-;q=1', 'en-US', 'Exports'],
  ['de-12, de-AT-AT;q=0.9, de-CH ; q=0.8, en;q=x', 'de-CH', 'Exporte'],
])('Accept-Language %o is %s', (header, locale, title) => {
  const language = acceptedLanguage(header);
  expect([language.locale, language.text.exports.list.title]).toEqual([locale, title]);
  expect(createFormats(language, 0).utc('2026-11-30T02:23:05Z')).toContain('UTC');
});

test('a locale whose language is unknown has English texts and its own numbers', () => {
  expect(languageOf('fr-CH')).toMatchObject({ locale: 'fr-CH', text: { frame: { language: 'en' } } });
});

test('a long header costs no more than a short one', () => {
  // Each would take a second where the cost grows with the square of its length.
  for (let count = 0; count < 100; count += 1) {
    expect(acceptedLanguage(`en${' '.repeat(15_000)}x`).locale).toBe('en');
  }
});
