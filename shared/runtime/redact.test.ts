import { expect, test, vi } from 'vitest';

// As in a process of its own: other tests of this one have secrets too, which would be hidden here.
vi.resetModules();
const { Secret, SecretUrl } = await import('./env.ts');
const { createLog } = await import('./log.ts');
const { hideSecretsOf, maskUrl, redact } = await import('./redact.ts');

test('a secret that was read is in no log line, however it got there', () => {
  const key = new Secret('tk "quoted" key/1');
  const url = new SecretUrl('postgres://app:p%40ss-9f3@db:5432/product?sslmode=require');
  const lines: string[] = [];
  const log = createLog('info', {}, (line) => lines.push(line));
  log.info('service.configured', { key, url });
  log.warn('it.failed', { error: new Error(`no ${url.reveal()}`, { cause: new Error(key.reveal()) }) });
  const text = lines.join('\n');
  expect(text).toContain('postgres://app:***@db:5432/product');
  for (const part of ['p%40ss-9f3', 'p@ss-9f3', 'quoted']) expect(text).not.toContain(part);
});

test('secrets of the environment are hidden by name, and those of URLs by their place', () => {
  hideSecretsOf({
    KAFKA_SASL_PASSWORD: 'kafka-pw-1',
    SECRET_KEY_PREVIOUS: 'old-key-1, old-key-2',
    SCHEMA_REGISTRY_URL: 'http://me:registry-pw@host:80/x',
    LOG_LEVEL: 'info',
  });
  const said = redact('kafka-pw-1 old-key-1 old-key-2 http://me:registry-pw@host:80/x info');
  expect(said).toBe('*** *** *** http://me:***@host:80/x info');
});

test('a weak password that is its user’s name does not garble every line', () => {
  hideSecretsOf({ DATABASE_URL: 'postgres://tandem:tandem@db/tandem' });
  expect(redact('tandem ready; postgres://tandem:tandem@db/tandem')).toBe(
    'tandem ready; postgres://tandem***db/tandem',
  );
});

test('of a list of URLs every password is hidden, and one with a comma in it whole', () => {
  hideSecretsOf({ SOURCE_READ_URL: 'postgres://a:first-pw@one/d, postgres://b:second-pw@two/d' });
  hideSecretsOf({ DATABASE_URL: 'postgres://c:third,comma-pw@one/d' });
  expect(redact('first-pw second-pw third,comma-pw')).toBe('*** *** ***');
});

test('a URL for an operator has neither password nor query', () => {
  expect(maskUrl('postgres://a:b@h:1/d?password=c')).toBe('postgres://a:***@h:1/d');
  expect(maskUrl('no url')).toBe('***');
});
