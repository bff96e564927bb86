/** Names in a catalog have 63 characters at most; some are kept for the number of a second one. */
const MAX_LENGTH = 58;

/** First parts of the event types that Tandem itself sends. */
const OWN_EVENTS: readonly string[] = ['feed', 'webhook', 'export'];

/** The same name for `organisationId`, `OrganisationID`, `organisation-id` and `organisation_id`: words with _ between them. */
export function wordsOf(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}

/** A name as catalogs have it, with a-z, 0-9 and _ and a letter first, from whatever a table is called. */
export function apiNameOf(text: string): string {
  const plain = wordsOf(text);
  return (/^[a-z]/.test(plain) ? plain : `t_${plain}`).slice(0, MAX_LENGTH);
}

/** What events of such records are called: `invoices` gives `invoice`. */
export function singularOf(name: string): string {
  const singular = withoutPlural(name);
  return OWN_EVENTS.includes(singular) ? `${singular}_record` : singular;
}

/** One of what a table holds: `companies` gives `company`. */
export function withoutPlural(name: string): string {
  if (/[^aeiou_]ies$/.test(name)) return `${name.slice(0, -3)}y`;
  if (/(ss|sh|ch|x|z)es$/.test(name)) return name.slice(0, -2);
  if (/[^s_]s$/.test(name) && !/(us|is)$/.test(name)) return name.slice(0, -1);
  return name;
}

/** The name, or the first of `name_2`, `name_3`, … that is not taken; it is taken from then on. */
export function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let number = 2; taken.has(unique); number += 1) unique = `${name}_${number}`;
  taken.add(unique);
  return unique;
}
