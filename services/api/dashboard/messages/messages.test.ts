import { expect, test } from 'vitest';
import { acceptedLanguage, languageOf } from './messages.ts';

test.each([
  [undefined, 'en-US', 'Exports'],
  ['', 'en-US', 'Exports'],
  ['de-AT,de;q=0.9,en;q=0.8', 'de-AT', 'Exporte'],
  ['fr,en;q=0.4,DE;q=0.8', 'DE', 'Exporte'],
  ['de;q=0, en-GB', 'en-GB', 'Exports'],
  ['fr', 'en-US', 'Exports'],
  ['*;q=1, "><script>, de-;q=1', 'en-US', 'Exports'],
])('Accept-Language %o is %s', (header, locale, title) => {
  const language = acceptedLanguage(header);
  expect([language.locale, language.text.exports.list.title]).toEqual([locale, title]);
});

test('a locale whose language is unknown has English texts and its own numbers', () => {
  expect(languageOf('fr-CH')).toMatchObject({ locale: 'fr-CH', text: { frame: { language: 'en' } } });
});
