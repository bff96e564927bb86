import { expect, test, vi } from 'vitest';
import { secretToKey, sign } from '../../../../shared/runtime/signing.ts';
import { SignatureError } from './errors.ts';
import { verifyWebhook } from './verify.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const OTHER = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
const AT = 1_770_000_000;
const EVENT = { id: 'evt_1', type: 'invoice.created', position: '1', data: { name: 'Zoë ✓' } };
const BODY = JSON.stringify(EVENT);

/** Signed by what the dispatcher signs with. */
function headersOf(body: string, secrets: readonly string[] = [SECRET], timestamp = AT) {
  return {
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': sign(secrets.map(secretToKey), 'evt_1', timestamp, Buffer.from(body)),
  };
}

const now = () => AT * 1_000;

test('what Tandem signs is verified, as text and as bytes, with headers of any form', async () => {
  const delivery = await verifyWebhook(headersOf(BODY), BODY, SECRET, { now });
  expect(delivery).toEqual({ id: 'evt_1', isBatch: false, events: [EVENT], text: BODY });
  const headers = Object.entries(headersOf(BODY));
  const bytes = new TextEncoder().encode(BODY);
  await verifyWebhook(new Headers(headers), bytes, SECRET, { now });
  const upper = Object.fromEntries(headers.map(([name, value]) => [name.toUpperCase(), value]));
  await verifyWebhook(upper, Buffer.from(BODY), SECRET, { now });
});

test('a batch gives its events in order', async () => {
  const second = { ...EVENT, id: 'evt_2' };
  const body = JSON.stringify({ id: 'bat_1', type: 'batch', events: [EVENT, second] });
  const { isBatch, events } = await verifyWebhook(headersOf(body), body, SECRET, { now });
  expect(isBatch).toBe(true);
  expect(events).toEqual([EVENT, second]);
});

test('during a rotation one secret that fits one signature is enough, on both sides', async () => {
  await verifyWebhook(headersOf(BODY, [OTHER, SECRET]), BODY, SECRET, { now });
  await verifyWebhook(headersOf(BODY, [SECRET]), BODY, [OTHER, SECRET], { now });
  await expect(verifyWebhook(headersOf(BODY, [OTHER]), BODY, [SECRET], { now })).rejects.toMatchObject({
    reason: 'wrong_signature',
  });
});

test.each([
  ['another body', headersOf(BODY), `${BODY} `, 'wrong_signature'],
  ['another ID', { ...headersOf(BODY), 'webhook-id': 'evt_2' }, BODY, 'wrong_signature'],
  [
    'a changed timestamp',
    { ...headersOf(BODY), 'webhook-timestamp': String(AT + 1) },
    BODY,
    'wrong_signature',
  ],
  ['another version', { ...headersOf(BODY), 'webhook-signature': 'v2,AAAA' }, BODY, 'wrong_signature'],
  ['no base64', { ...headersOf(BODY), 'webhook-signature': 'v1,*' }, BODY, 'wrong_signature'],
  ['an empty signature', { ...headersOf(BODY), 'webhook-signature': 'v1,' }, BODY, 'wrong_signature'],
  ['no signature', { ...headersOf(BODY), 'webhook-signature': undefined }, BODY, 'missing_header'],
  ['no timestamp', { ...headersOf(BODY), 'webhook-timestamp': 'now' }, BODY, 'old_timestamp'],
  ['an old request', headersOf(BODY, [SECRET], AT - 301), BODY, 'old_timestamp'],
  ['one of the future', headersOf(BODY, [SECRET], AT + 301), BODY, 'old_timestamp'],
  ['no JSON', headersOf('{'), '{', 'malformed_body'],
])('%s is refused', async (_, headers, body, reason) => {
  await expect(verifyWebhook(headers, body, SECRET, { now })).rejects.toMatchObject({
    name: 'SignatureError',
    reason,
  });
});

test('the body is signed once for each secret, and only for signatures that can be ones', async () => {
  const sign = vi.spyOn(crypto.subtle, 'sign');
  const verify = vi.spyOn(crypto.subtle, 'verify');
  const count = () => sign.mock.calls.length + verify.mock.calls.length;
  const wrong = `v1,${Buffer.alloc(32, 1).toString('base64')}`;
  const right = headersOf(BODY)['webhook-signature'];
  const post = (...signatures: string[]) =>
    verifyWebhook({ ...headersOf(BODY), 'webhook-signature': signatures.join(' ') }, BODY, [OTHER, SECRET], {
      now,
    });
  try {
    await post(...Array<string>(9).fill(wrong), right);
    expect(count()).toBe(2);
    await expect(post(...Array<string>(1_000).fill(wrong), right)).rejects.toThrow(SignatureError);
    expect(count()).toBe(4);
    const short = `v1,${Buffer.alloc(31, 1).toString('base64')}`;
    await expect(post(short, `${right.slice(0, -4)}AAAAAAAA`)).rejects.toThrow(SignatureError);
    expect(count()).toBe(4);
  } finally {
    sign.mockRestore();
    verify.mockRestore();
  }
});

test('the tolerance is a setting, and a secret that is none is an error of the settings', async () => {
  await verifyWebhook(headersOf(BODY, [SECRET], AT - 900), BODY, SECRET, { now, toleranceSeconds: 901 });
  for (const secret of ['', 'whsec_', 'whsec_***']) {
    await expect(verifyWebhook(headersOf(BODY), BODY, secret, { now })).rejects.toThrow(RangeError);
  }
  await expect(verifyWebhook(headersOf(BODY), BODY, [], { now })).rejects.toThrow(RangeError);
});
