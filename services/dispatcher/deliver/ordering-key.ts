/** By far the most common keys: integers and UUIDs. Only dashes need folding. */
const PLAIN = /^([^/]*\/)\["(\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"\]$/;

const INTERVAL =
  /^(?:(-?\d+) years? ?)?(?:(-?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d):(\d\d(?:\.\d+)?))?$/;

/** Letters that some collations treat as others, and that Unicode does not decompose. */
const OTHER_LETTERS: Readonly<Record<string, string>> = {
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ł: 'l',
  ı: 'i',
  þ: 'th',
};

/**
 * The queue in which a record's events keep their order. Two keys that PostgreSQL may treat as equal get the same
 * queue: `Ann` and `ANN` under citext, `55` and `55.00` as numeric, `60 days` and `2 mons` as interval. The event log
 * has neither the key's type nor its collation, so this folds more than any of them does. Records that share a queue
 * only wait for each other.
 *
 * @param record `<resource>/<record key>`
 */
export function orderingKey(record: string): string {
  const plain = PLAIN.exec(record);
  if (plain !== null) return `${plain[1]}${plain[2]?.replaceAll('-', '')}`;
  const slash = record.indexOf('/') + 1;
  const key = record.slice(slash);
  return record.slice(0, slash) + partsOf(key).map(foldPart).join('/');
}

function partsOf(key: string): readonly string[] {
  if (!key.startsWith('["')) return [key];
  try {
    return (JSON.parse(key) as unknown[]).map(String);
  } catch {
    return [key];
  }
}

function foldPart(text: string): string {
  const interval = text === '' ? null : INTERVAL.exec(text);
  if (interval !== null) return String(secondsOf(interval));
  return (
    text
      // 1.50 equals 1.5, also inside a range, an array or a JSON text.
      .replace(/(\.\d*?)0+(?!\d)/g, '$1')
      .toUpperCase()
      .toLowerCase()
      .toUpperCase()
      .toLowerCase()
      .normalize('NFKD')
      // Removes accents, signs, spaces and brackets.
      .replace(/[^\p{L}\p{N}]/gu, '')
      .replace(/[æœøđðħłıþ]/g, (letter) => OTHER_LETTERS[letter] ?? letter)
      // Folds katakana to hiragana.
      .replace(/[ァ-ヶ]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) - 0x60))
  );
}

/** Seconds as PostgreSQL compares intervals: a month has 30 days and a day 24 hours. */
function secondsOf([, years, months, days, sign, hours, minutes, seconds]: RegExpExecArray): number {
  const clock = Number(hours ?? 0) * 3_600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
  const wholeDays = Number(years ?? 0) * 360 + Number(months ?? 0) * 30 + Number(days ?? 0);
  return wholeDays * 86_400 + (sign === '-' ? -clock : clock);
}
