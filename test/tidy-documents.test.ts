import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { FILES, isTest, ROOT, read, SOURCES } from './support/project-files.ts';

test('the READMEs of the whole are short, and what the documents link to is there', () => {
  const lineCount = (path: string) => read(path).trimEnd().split('\n').length;
  expect(lineCount('README.md')).toBeLessThanOrEqual(120);
  expect(lineCount('services/README.md')).toBeLessThanOrEqual(250);
  const broken = FILES.filter((path) => path.endsWith('.md')).flatMap((path) =>
    [...read(path).matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
      .filter(([, target = '', anchor]) => !leadsSomewhere(path, target, anchor))
      .map(([link]) => `${path}: ${link}`),
  );
  expect(broken).toEqual([]);
});

/** Words of our own, and turns of phrase that nobody searches for, each with what to write instead. */
const WORDS: Readonly<Record<string, string>> = {
  told: 'announced, shown or reported',
  tells: 'reports',
  'in hand': 'claimed or running',
  'under way': 'running',
  anew: 'again',
  whoever: 'the request that',
  meanwhile: 'until then',
  'so many': 'this many',
  'comes? to': 'an estimate of',
  'came to': 'reached',
  'from (where|here|then) on': 'after that',
  'goes? on': 'continue or resume',
  'gone on': 'continued',
  'mend(s|ed)?': 'correct',
  'can not': 'cannot',
  had: 'has',
  'looks?': 'check',
  'doorbells?': 'notification',
  'rings?': 'notify',
  'pulses?': 'heartbeat',
  'lanes?': 'ordering queue or partition',
  'parcels?': 'delivery batch',
  '(un)?park(s|ed|ing)?': 'scheduled for retry',
  'spill(s|ed)?': 'overflow',
  'judge[sd]?': 'classify',
  'steward|keeper': 'job scheduler',
  'lots?': 'batch',
  'tries|tried': 'attempts',
  standing: 'status',
  'bulk operations?': 'bulk job',
  'answer(s|ed)?': 'response',
  'past moments?': 'as-of',
  'deltas?': 'changes-since',
};

/** Texts that customers and operators read: literals of several words, which are no SQL. */
function textsOf({ path, text }: { path: string; text: string }): { place: string; said: string }[] {
  const literal =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'((?:\\.|[^'\\\n])*)'|"((?:\\.|[^"\\\n])*)"|`((?:\\.|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`\\])*)`/g;
  return [...text.matchAll(literal)].flatMap((match) => {
    const said = (match[1] ?? match[2] ?? match[3] ?? '').replaceAll(/\$\{[^}]*\}/g, '…').trim();
    const isSql = /\b(select|join|insert into|delete from|returning|on conflict)\b|::|\bset\b.*=|\$\d/.test(
      said,
    );
    const line = text.slice(0, match.index).split('\n').length;
    return !said.includes(' ') || isSql ? [] : [{ place: `${path}:${line}`, said }];
  });
}

test('texts for customers and operators use the words of the field', () => {
  const words = Object.entries(WORDS).map(([word, instead]) => ({
    pattern: new RegExp(`(?<![\\w-])(${word})(?![\\w-])`, 'i'),
    instead,
  }));
  const readByOthers = SOURCES.filter(
    ({ path }) => /^(services|shared|deploy)\//.test(path) && !isTest(path),
  );
  const texts = readByOthers.flatMap(textsOf);
  expect(texts.length).toBeGreaterThan(500);
  const offences = texts.flatMap(({ place, said }) =>
    words.flatMap(({ pattern, instead }) => {
      const [word] = pattern.exec(said) ?? [];
      return word === undefined ? [] : [`${place}: "${word}" in "${said}": write ${instead}`];
    }),
  );
  expect(offences).toEqual([]);
});

/** The words of the list that comments are free of. */
const WORDS_OF_NO_COMMENT = ['anew', 'whoever', 'so many'];

test('comments use the words of the field', () => {
  const pattern = new RegExp(`(?:^\\s*/?\\*|//).*?\\b(${WORDS_OF_NO_COMMENT.join('|')})\\b`, 'gim');
  const offences = SOURCES.filter(({ path }) => !isTest(path) && !path.startsWith('test/')).flatMap(
    ({ path, text }) => [...text.matchAll(pattern)].map(([line]) => `${path}: ${line.trim()}`),
  );
  expect(offences).toEqual([]);
});

test('the lines of the documents are short, and so are the cells of their tables', () => {
  const documents = FILES.filter(
    (path) => path.endsWith('README.md') || /^services\/[a-z-]+\.md$/.test(path),
  );
  const offences = documents.flatMap((path) =>
    proseOf(read(path)).flatMap(({ line, text }) => {
      const cells = text.startsWith('|') ? text.split(/(?<!\\)\|/).map((cell) => cell.trim()) : [text];
      return cells.some((cell) => cell.length > 120) ? [`${path}:${line}`] : [];
    }),
  );
  expect(documents.length).toBeGreaterThan(5);
  expect(offences).toEqual([]);
});

/** The lines that are no code. */
function proseOf(document: string): { line: number; text: string }[] {
  let isCode = false;
  return document.split('\n').flatMap((text, index) => {
    const isFence = text.trimStart().startsWith('```');
    if (isFence) isCode = !isCode;
    return isCode || isFence ? [] : [{ line: index + 1, text }];
  });
}

test('the files and folders that the documents name are there', () => {
  const tracked = FILES.map((path) => `/${path}`);
  const documents = FILES.filter((path) =>
    /^(README|(services|shared|schemas|deploy|test)\/.*)\.md$/.test(path),
  );
  const gone = documents.flatMap((path) =>
    [...read(path).matchAll(/`([a-z0-9_./-]+\/[a-z0-9_.-]+(?:\.[a-z]{2,5}|\/))`/g)]
      .map(([, named = '']) => named)
      .filter(
        (named) =>
          !tracked.some((file) =>
            named.endsWith('/') ? file.includes(`/${named}`) : file.endsWith(`/${named}`),
          ),
      )
      .map((named) => `${path}: ${named}`),
  );
  expect(gone).toEqual([]);
});

/** An anchor is a heading's text in lower case, with hyphens for spaces and without other signs. */
function leadsSomewhere(from: string, target: string, anchor: string | undefined): boolean {
  const path = target === '' ? from : relative(ROOT, resolve(ROOT, dirname(from), target));
  if (!existsSync(join(ROOT, path))) return false;
  if (anchor === undefined || anchor === '') return true;
  const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
  return headings.includes(anchor);
}
