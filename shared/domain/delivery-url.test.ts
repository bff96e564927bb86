import { expect, test } from 'vitest';
import { parseCidr } from './address-rules.ts';
import { findUrlProblem, isPortAllowed } from './delivery-url.ts';

const strict = { allowNetworks: [], allowHttp: false };

test.each([
  'https://example.com/hook',
  'https://example.com:8443/',
  'https://8.8.8.8/',
  'https://xn--bcher-kva.example/',
])('%s is kept', (url) => {
  expect(findUrlProblem(url, strict)).toBeUndefined();
});

test.each([
  'http://example.com/',
  'ftp://example.com/',
  'file:///etc/passwd',
  'example.com',
  '',
  'https://user:secret@example.com/',
  'https://user@example.com/',
  'https://127.0.0.1/',
  'https://0x7f.1/',
  'https://2130706433/',
  'https://0177.0.0.1/',
  'https://127.0.0.1./',
  'https://localhost/',
  'https://api.localhost./',
  'https://10.1.2.3/',
  'https://169.254.169.254/latest/meta-data/',
  'https://100.64.0.1/',
  'https://224.0.0.1/',
  'https://[::1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
  'https://[fe80::1]/',
  'https://example.com:25/',
  'https://example.com:5432/',
  'https:example.com',
  'https:///example.com/',
  'https:\\\\example.com\\hook',
  'https://example.com\\@10.0.0.1/',
  'https://exa\tmple.com/',
  'https://example.com/a b',
  `https://example.com/${'a'.repeat(2_048)}`,
])('%j is refused', (url) => {
  expect(findUrlProblem(url, strict)).toBeTypeOf('string');
});

test('an operator may open http, networks, and with a network any port in it', () => {
  const rules = { allowNetworks: [parseCidr('127.0.0.0/8')], allowHttp: true };
  expect(findUrlProblem('http://127.0.0.1:4567/hook', rules)).toBeUndefined();
  expect(findUrlProblem('http://localhost:4567/hook', rules)).toBeUndefined();
  expect(findUrlProblem('http://10.0.0.1/hook', rules)).toBeTypeOf('string');
  expect(findUrlProblem('http://8.8.8.8:4567/', rules)).toBeTypeOf('string');
  expect(isPortAllowed(4567, '127.0.0.1', rules.allowNetworks)).toBe(true);
  expect(isPortAllowed(4567, '8.8.8.8', rules.allowNetworks)).toBe(false);
});
