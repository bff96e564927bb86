import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { invalid, validate } from '../../http/validate.ts';
import { faults as DE } from '../messages/de/faults.ts';
import { faults as EN } from '../messages/en/faults.ts';
import { languageOf } from '../messages/messages.ts';
import { codeOfFault, faultWords, inLanguage } from './fault-words.ts';

const { text: german } = languageOf('de-DE');
const { text: english } = languageOf('en-US');

const placesOf = (sentence: string) => [...new Set(sentence.match(/\{=?\d\}/g))].sort();

test.each(Object.entries(EN))('%s is found by its sentence, and has one in German', (code, sentence) => {
  const written = sentence.replaceAll(/\{=?(\d)\}/g, 'part$1');
  expect(codeOfFault(written)?.code).toBe(code);
  const words = DE[code as keyof typeof DE];
  expect(faultWords(written, german)).toBe(words.replaceAll(/\{=?(\d)\}/g, 'part$1'));
  // German may leave a part out, and has none of its own.
  expect(placesOf(sentence)).toEqual(expect.arrayContaining(placesOf(words)));
  expect(faultWords(written, english)).toBe(written);
});

test('parts are kept as they were written, in the order of the language', () => {
  expect(faultWords('line 7: is not of type uuid', german)).toBe('Zeile 7: ist kein Wert vom Typ uuid');
  expect(faultWords('invoices has no field "a{1}$&"', german)).toBe('invoices hat kein Feld „a{1}$&“');
  expect(faultWords('nobody has a sentence for this', german)).toBe('nobody has a sentence for this');
});

test('an error keeps what it is, and its message names the place of an only fault', () => {
  const error = inLanguage(invalid([{ pointer: '/url', detail: 'must be an absolute URL' }]), german);
  expect([error.code, error.message]).toEqual(['invalid', '/url: muss eine vollständige URL sein']);
  const late = new AppError('too_many', 'Too many uploads are running. Wait for one to end.', {
    retryAfterSeconds: 5,
    extra: { at: 1 },
  });
  expect(inLanguage(late, german)).toMatchObject({ retryAfterSeconds: 5, extra: { at: 1 } });
  expect(inLanguage(late, english)).toBe(late);
});

/** Sources whose sentences a page can show. */
const SOURCES = ['services/api', 'shared/domain', 'shared/bulk'];

/** What only settings, programs and HTTP itself can get wrong: no page sends it. */
const NOT_OF_A_PAGE = [
  /Idempotency-Key must|^Send (?:a key|JSON|the body)|^The key is|^The (?:link|file) |^The request (?:did|is)/,
  /^[A-Z]+_[A-Z_]+ (?:must|takes|needs)|^the (?:replication slot|feed)|deploy\/README/,
  /^This request is for|operator (?:may|must) give|^must be (?:one account|the account)|there is no such account/,
  /^must be a next_cursor|^is not the export|^The events after|^The control store|^The databases|^Files cannot/,
  /^There is nothing at|^The path does not|^An internal error|^Too many synchronous|^The request has x items/,
  /^The extensions of chunks|^x x$|^The bulk job x\.$|^is not a parameter of the operation; x|^unknown x "x"$/,
];

test('every sentence that the API refuses a page with has a code', () => {
  const unknown = SOURCES.flatMap((folder) => filesOf(folder)).flatMap((file) =>
    sentencesOf(readFileSync(file, 'utf8'))
      .filter((sentence) => !hasCode(sentence))
      .filter((sentence) => !NOT_OF_A_PAGE.some((pattern) => pattern.test(sentence)))
      .map((sentence) => `${file}: ${sentence}`),
  );
  expect(unknown).toEqual([]);
});

function filesOf(folder: string): string[] {
  return (
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      // The last two say why an item of a job failed.
      .filter(
        (name) => !/^(?:dashboard|docs|pages)\/|example|response|call-handler|source-error\./.test(name),
      )
      .map((name) => `${folder}/${name}`)
  );
}

/** Where a sentence begins: what a fault says, and what an error of the API does. */
const BEGINNINGS =
  /(?:\bdetail(?::| =)|\berror:|\bmustBe:|new (?:AppError|FilterError|IdFileError)\([^'`]*?(?:'\w+',\s*)?|\brefused?\((?:'[^']*',)?|\bmessage:|\binvalid\(\[\{ pointer[^'`]*?detail:)\s*(['`])((?:(?!\1)[^\n])+)\1/g;

/** With an `x` for each part that differs. */
function sentencesOf(source: string): string[] {
  return [...source.matchAll(BEGINNINGS)]
    .map(([, , sentence = '']) =>
      sentence
        .replaceAll(/\$\{earlier\}/g, 'the export x')
        .replaceAll(/\$\{JSON\.stringify\([\w.]+\)\}/g, '"x"')
        .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, 'x'),
    )
    .filter((sentence) => sentence.includes(' '));
}

/** Whether a sentence, or the beginning of one that goes on in the next line, has a code: one of its own, not that of a shorter sentence. */
function hasCode(sentence: string): boolean {
  const written = Object.values(EN).map((each) => each.replaceAll(/\{=?\d\}/g, 'x'));
  if (sentence.endsWith(' ')) return written.some((each) => each.startsWith(sentence));
  const found = codeOfFault(sentence);
  return found?.parts.every((part) => !part.includes(' ')) === true;
}

test('a schema says what is wrong in words, and each has a code', () => {
  const schema = z.strictObject({
    name: z.string().min(1).max(3),
    list: z.array(z.string()).min(2).max(3),
    kind: z.enum(['a', 'b']),
    only: z.literal('a'),
    count: z.int().min(1).max(5),
    flag: z.boolean(),
    id: z.string().regex(/^a$/),
  });
  const faultsOf = (input: Readonly<Record<string, unknown>>) => {
    try {
      return validate(schema, input, 'body');
    } catch (error) {
      return (error as AppError).errors.map(({ pointer, detail }) => `${pointer} ${detail}`);
    }
  };
  const found = [
    faultsOf({ name: '', list: [], kind: 'c', only: 'b', count: 0, flag: 'x', id: 'b' }),
    faultsOf({
      name: 'long',
      list: ['a', 'b', 'c', 'd'],
      kind: 1,
      only: 1,
      count: 6,
      flag: 1,
      id: 1,
      more: 1,
    }),
    faultsOf({ list: 'x', count: 1.5 }),
  ];
  expect(found).toMatchInlineSnapshot(`
    [
      [
        "/name must not be empty",
        "/list must have at least 2 entries",
        "/kind must be one of a, b",
        "/only must be "a"",
        "/count must be at least 1",
        "/flag must be true or false",
        "/id does not have the required form",
      ],
      [
        "/name must have at most 3 characters",
        "/list must have at most 3 entries",
        "/kind must be one of a, b",
        "/only must be "a"",
        "/count must be at most 5",
        "/flag must be true or false",
        "/id must be a string",
        "/more unknown field "more"",
      ],
      [
        "/name is required",
        "/list must be a list",
        "/kind is required",
        "/only is required",
        "/count must be a whole number",
        "/flag is required",
        "/id is required",
      ],
    ]
  `);
  for (const line of found.flat() as string[]) {
    expect(codeOfFault(line.replace(/^\S+ /, '')), line).toBeDefined();
  }
});
