import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';
import { wordsOf } from './names.ts';

/**
 * Columns that a draft does not let out, because of what they are called: secrets, what may hold secrets, and notes of the product's own
 * people. A draft that lacks a column is mended by adding it; one that shows a secret is not.
 *
 * @param isReference columns that name another row; that is no secret, whatever it is called
 */
export function keptBack(table: TableDescription, isReference: (column: string) => boolean): string[] {
  const isOfSecrets = SECRET_TABLE.test(`_${wordsOf(table.name)}_`);
  const kept = table.columns
    .filter((column) => !column.isGenerated && !isReference(column.name) && isKeptBack(column, isOfSecrets))
    .map(({ name }) => name);
  if (!isOfSecrets || kept.length > 0) return kept;
  // Of sessions and tokens without any other secret, the ID is what their bearer shows.
  const isBearers = ({ name, baseTypeOid }: ColumnDescription) =>
    wordsOf(name) === 'id' && (baseTypeOid === UUID || TEXTS.includes(baseTypeOid));
  return table.columns.filter(isBearers).map(({ name }) => name);
}

/** OIDs of PostgreSQL's own types. */
const BOOLEAN = 16;
const NUMBERS: readonly number[] = [20, 21, 23, 700, 701, 790, 1700];
const MOMENTS: readonly number[] = [1082, 1083, 1114, 1184, 1186, 1266];
const UUID = 2950;
/** json, jsonb and xml, and arrays of structures and texts. */
const STRUCTURES: readonly number[] = [114, 3802, 142, 199, 3807, 1009, 1015];
/** Bytes too. */
const TEXTS: readonly number[] = [25, 1043, 1042, 17];

const wordPattern = (words: readonly string[]) => new RegExp(`_(${words.join('|')})_`);

/** In a value of any type. */
const SECRET_WORDS = wordPattern([
  'passwords?|passwd|pwd|passphrases?|passcodes?|pass|pins?|pincodes?',
  'secrets?|tokens?|jwts?|bearer|salts?|peppers?|nonces?|seeds?|mnemonics?|hmac|cipher|ciphertexts?|crypt(ed)?',
  'hash|hashed|hashes|digests?|encrypted|enc|crypted|credentials?|creds?|private|internal|confidential',
  'otps?|totp|hotp|mfa|2fa|twofa|two_factor|cvv2?|cvc2?|ssn|verifiers?|challenges?|cookies?|oauth|otc',
  'api_?keys?|apikeys?|access_keys?|auth_keys?|dsn|connection_(string|url|uri)|(database|db|redis|smtp|amqp)_(url|uri)',
  '(backup|recovery|auth|authorization|verification|confirmation|activation|reset|login|security|device|user|scratch)_codes?',
  '(invite|invitation|join|access|pairing|sms|email|phone|one_time)_codes?|pem|p12|pfx|keystore|keytab',
  'card_number|magic_links?|recovery|(admin|staff|support|private|internal|moderator)_(notes?|comments?|memo)',
]);

/** Numbers are counts and sizes, unless they are called as codes that are typed in. */
const SECRET_NUMBER = wordPattern([
  'passwords?|pins?|pincodes?|passcodes?|cvv2?|cvc2?|ssn|secrets?|(otp|totp|backup|recovery|verification|security|login)_codes?|otp|card_number',
]);
const MEASURE =
  /_(count|counter|limit|length|attempts|tries|version|size|used|max|min|ttl|days|hours|minutes|seconds)$/;

/** What is said about a secret: its kind, its state, whose it is. */
const ABOUT_A_SECRET =
  /_(type|kind|method|status|algorithm|algo|name|label|prefix|last_?4|last_four|last_?digits|scopes?|provider|expires|expiry|count)$/;
/** These are the value itself, transformed: `encrypted_name` is no name of a secret. */
const TRANSFORMED = wordPattern(['encrypted|enc|crypted|hashed|cipher|ciphertext']);

/** Structures and texts of settings, which hold credentials of other services more often than not. */
const SETTINGS_WORDS = wordPattern([
  'config|configs|configuration|settings?|options|params|parameters|auth|authentication|connections?|headers?|env|environment_variables',
  'env_vars|integrations?|sessions?|raw|provider_(data|info|metadata)|extra|vars|variables',
]);

/** Tables whose rows are secrets, whatever their columns are called. */
const SECRET_TABLE = wordPattern([
  'api_?keys?|access_keys?|signing_keys?|private_keys?|keys|keypairs?|secrets?|tokens?|sessions?|credentials?|passwords?|otps?|totps?',
  '(one_time|backup|recovery|verification|authorization|auth|device|grant)_(codes?|passwords?|tokens?)|verifications?|mfa|passkeys?',
  'authenticators?|magic_links?|flow_states?|authenticat(ion|or)_factors?|mfa_factors?|auth_codes?|challenges?|webauthn',
]);
const SECRET_TABLE_COLUMN =
  /^(value|key|data|code|content|contents|body|payload|raw|handle|jti|sid|hash|identifier|public_id|session|state|phrase|challenge|response)$/;

/** Keys of cryptography and of other services; those that only sort, name or find something are harmless. */
const KEY = /_keys?$/;
const HARMLESS_KEY =
  /(^|_)(public|primary|foreign|sort|partition|idempotency|cache|lookup|object|translation|locale|i18n|event|message|feature|flag|metric|group|natural|business|external|row|field|product|price|plan|template|property|attribute|question|answer|error|icon|shard|file|image|avatar|blob|dedupe|deduplication|routing|grouping|unique|project|issue|search|order|lock)_keys?$/;

function isKeptBack({ name, baseTypeOid, typeName }: ColumnDescription, isOfSecrets: boolean): boolean {
  const words = wordsOf(name);
  const framed = `_${words}_`;
  if (baseTypeOid === BOOLEAN || MOMENTS.includes(baseTypeOid)) return false;
  if (NUMBERS.includes(baseTypeOid))
    return SECRET_NUMBER.test(framed) && !MEASURE.test(words) && !isId(words);
  if (isId(words) && (baseTypeOid === UUID || /(^|_)(token|key|api_key|access_key)_id$/.test(words)))
    return false;
  if (isOfSecrets && SECRET_TABLE_COLUMN.test(words)) return true;
  if (SECRET_WORDS.test(framed)) return !ABOUT_A_SECRET.test(words) || TRANSFORMED.test(framed);
  const isText = TEXTS.includes(baseTypeOid);
  if (isText && KEY.test(words)) return !HARMLESS_KEY.test(words);
  const mayHoldSettings = isText || STRUCTURES.includes(baseTypeOid) || typeName.endsWith('hstore');
  return mayHoldSettings && SETTINGS_WORDS.test(framed) && !isId(words);
}

function isId(words: string): boolean {
  return /(^|_)(id|ids|uuid|guid)$/.test(words);
}
