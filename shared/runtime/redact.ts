/** Texts that no line of ours may hold, in every form in which a library may print them. */
const hidden = new Set<string>();

const MASK = '***';

/** Shorter ones are found in words by chance, and hide nothing. */
const LEAST_CHARACTERS = 4;

/** From now on `redact` takes this value out of every text. What is a URL is known by its password too. */
export function hideFromOutput(value: string): void {
  const url = URL.parse(value);
  if (url === null || url.host === '') {
    hideText(value);
    return;
  }
  const password = decode(url.password);
  if (password === '') return;
  // A password that is also the user's name or the database's is no secret, and would garble every line that names them.
  if (password !== url.password) hideText(url.password);
  if (![decode(url.username), url.pathname.slice(1)].includes(password)) hideText(password);
  else hideText(`:${url.password}@`);
  hideText(Buffer.from(`${decode(url.username)}:${password}`).toString('base64'));
}

/** A list of URLs by each of them; the whole too, because a password may have a comma in it. */
function hideUrls(value: string): void {
  hideFromOutput(value);
  const urls = value.split(',').map((part) => part.trim());
  for (const url of urls) if (urls.length > 1 && url.includes('://')) hideFromOutput(url);
}

function hideText(text: string): void {
  for (const form of [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)]) {
    if (form.length >= LEAST_CHARACTERS) hidden.add(form);
  }
}

/** The text of a line or an error without any secret that this process was given. */
export function redact(text: string): string {
  let clean = text;
  for (const secret of hidden) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK);
  return clean;
}

/** A URL as an operator may see it: without its password, and without its query, which may hold keys. */
export function maskUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) return MASK;
  if (url.password !== '') url.password = MASK;
  return `${url.href.split(/[?#]/, 1)[0]}`;
}

const SECRET_NAME = /(?:_KEY|_KEY_PREVIOUS|_TOKEN|PASSWORD|SECRETS?|^OTEL_.*_HEADERS)$/;

/** Whether a variable of this name holds a secret. */
export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** Hides every value of the environment that is a secret by its variable's name, and every URL's password. */
export function hideSecretsOf(env: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(env)) {
    if (!value?.trim()) continue;
    if (isSecretName(name)) for (const part of value.split(',')) hideFromOutput(part.trim());
    else if (value.includes('://')) hideUrls(value.trim());
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
