/** What a value was in the JSON of a request. */
export type JsonKind = 'text' | 'number' | 'boolean';

/** How a type's values are written in requests: as files and events write them, and in no other way that PostgreSQL may read. */
interface Form {
  readonly kinds: readonly JsonKind[];
  /** Of the value's text. */
  readonly pattern?: RegExp;
  readonly mustBe: string;
}

const DATE = String.raw`\d{4}-\d{2}-\d{2}`;
const TIME = String.raw`(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?`;
const ZONE = String.raw`(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)`;
/** Files write what RFC 3339 has no form for, years before Christ and after 9999, as PostgreSQL prints it. */
const FAR_DATE = String.raw`\d{4,6}-\d{2}-\d{2}`;
const INFINITE = '-?infinity';
const either = (...forms: readonly string[]) => new RegExp(`^(?:${forms.join('|')})$`);

/** Longer numerals and greater exponents would only make PostgreSQL write long numbers. */
const NUMBER = /^(?=.{1,1000}$)-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$|^NaN$|^-?Infinity$/;

const NUMBERS: Pick<Form, 'kinds'> = { kinds: ['text', 'number'] };
const TEXTS: Pick<Form, 'kinds'> = { kinds: ['text'] };

const integer: Form = { ...NUMBERS, pattern: /^-?\d{1,20}$/, mustBe: 'must be a whole number' };
const number: Form = { ...NUMBERS, pattern: NUMBER, mustBe: 'must be a number' };
const text: Form = { ...TEXTS, mustBe: 'must be a string' };

/** By the OID of the type, which is under a domain if there is one. */
const FORMS: ReadonlyMap<number, Form> = new Map<number, Form>([
  [21, integer],
  [23, integer],
  [20, integer],
  [26, integer],
  [700, number],
  [701, number],
  [1700, number],
  [790, { ...NUMBERS, pattern: /^-?\d{1,17}(?:\.\d{1,2})?$/, mustBe: 'must be an amount such as -1234.56' }],
  [16, { kinds: ['boolean', 'text'], pattern: /^(?:true|false)$/, mustBe: 'must be true or false' }],
  [
    2950,
    {
      ...TEXTS,
      pattern: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
      mustBe: 'must be a UUID such as 0193e3a6-0b71-7c52-9d3e-2f6a8b1c4d5e',
    },
  ],
  [
    1082,
    {
      ...TEXTS,
      pattern: either(DATE, `${FAR_DATE}(?: BC)?`, INFINITE),
      mustBe: 'must be a date such as 2026-01-31',
    },
  ],
  [
    1114,
    {
      ...TEXTS,
      pattern: either(`${DATE}[Tt]${TIME}`, ...farMoments(''), INFINITE),
      mustBe: 'must be a date and time without a zone, such as 2026-01-31T09:30:00',
    },
  ],
  [
    1184,
    {
      ...TEXTS,
      pattern: either(`${DATE}[Tt]${TIME}${ZONE}`, ...farMoments(String.raw`[+-]\d{2}`), INFINITE),
      mustBe: 'must be an RFC 3339 timestamp with a zone, such as 2026-01-31T09:30:00Z',
    },
  ],
  [1083, { ...TEXTS, pattern: either(TIME, '24:00:00'), mustBe: 'must be a time such as 09:30:00' }],
  [
    1266,
    {
      ...TEXTS,
      pattern: either(String.raw`(?:${TIME}|24:00:00)(?:[Zz]|[+-]\d{2}(?::\d{2}){0,2})`),
      mustBe: 'must be a time with a zone, such as 09:30:00+00',
    },
  ],
  [
    17,
    {
      ...TEXTS,
      pattern: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
      mustBe: 'must be base64',
    },
  ],
  // A number or boolean is JSON by itself; a text holds JSON, as a cell of a CSV file does.
  [114, { kinds: ['text', 'number', 'boolean'], mustBe: 'must be JSON' }],
  [3802, { kinds: ['text', 'number', 'boolean'], mustBe: 'must be JSON' }],
]);

const BYTEA = 17;

/** Types that hold dates or times: ranges, multiranges and arrays. In their texts, too, PostgreSQL reads words for moments. */
const HOLDS_DATES: ReadonlySet<number> = new Set([
  3908, 3910, 3912, 4533, 4534, 4535, 1182, 1115, 1185, 1183, 1270,
]);
const MOVING_WORD = /\b(?:now|today|tomorrow|yesterday|epoch|allballs)\b/i;

/** The element's OID of arrays whose elements have a form of their own. */
const ELEMENTS: ReadonlyMap<number, number> = new Map([
  [1005, 21],
  [1007, 23],
  [1016, 20],
  [1021, 700],
  [1022, 701],
  [1231, 1700],
  [791, 790],
  [1000, 16],
  [2951, 2950],
  [1182, 1082],
  [1115, 1114],
  [1185, 1184],
  [1183, 1083],
  [1270, 1266],
  [1001, 17],
]);

/** The OID of an array's elements, where they have a form. */
export function elementTypeOf(arrayOid: number): number | undefined {
  return ELEMENTS.get(arrayOid);
}

/** Whether numbers and booleans are as good as texts: true of what is assigned, whose digits are kept, never of what is compared. */
export interface FormOptions {
  readonly takesAnyScalarAsText: boolean;
}

/**
 * What is wrong with a value for a type, before PostgreSQL is asked; it has the last word on what this lets through.
 *
 * @returns undefined when its form is right
 */
export function formFault(
  { text: valueText, kind }: { readonly text: string; readonly kind: JsonKind },
  typeOid: number,
  { takesAnyScalarAsText }: FormOptions = { takesAnyScalarAsText: false },
): string | undefined {
  const { kinds, pattern, mustBe } = FORMS.get(typeOid) ?? text;
  const isKind = kinds.includes(kind) || (takesAnyScalarAsText && !FORMS.has(typeOid));
  if (!isKind || (pattern !== undefined && !pattern.test(valueText))) return mustBe;
  if (HOLDS_DATES.has(typeOid) && MOVING_WORD.test(valueText))
    return 'must hold dates and times, not words for them';
  return undefined;
}

/** The text that PostgreSQL reads the value from. */
export function inputText(valueText: string, typeOid: number): string {
  return typeOid === BYTEA ? `\\x${Buffer.from(valueText, 'base64').toString('hex')}` : valueText;
}

function farMoments(zone: string): string[] {
  return [String.raw`\d{5,6}-\d{2}-\d{2} ${TIME}${zone}`, `${FAR_DATE} ${TIME}${zone} BC`];
}
