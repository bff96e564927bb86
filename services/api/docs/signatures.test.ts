import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { secretToKey, sign } from '../../../shared/runtime/signing.ts';
import { hasPython } from '../../../test/support/python.ts';

const SECRET = `whsec_${Buffer.from('a secret of thirty-two characters').toString('base64')}`;
const OTHER = `whsec_${Buffer.from('another secret of this receiver..').toString('base64')}`;
const BODY = '{"id":"evt_1","type":"invoice.created","data":{"memo":"ü ✓"}}';

interface Delivery {
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const nowSeconds = Math.floor(Date.now() / 1_000);

function delivery({
  secrets = [SECRET],
  timestamp = nowSeconds,
  body = BODY,
  headers = {},
}: {
  secrets?: readonly string[];
  timestamp?: number;
  body?: string;
  headers?: Record<string, string>;
} = {}): Delivery {
  const signature = sign(secrets.map(secretToKey), 'evt_1', timestamp, Buffer.from(BODY));
  return {
    secret: SECRET,
    headers: {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signature,
      ...headers,
    },
    body,
  };
}

const GOOD: Readonly<Record<string, Delivery>> = {
  'one signature': delivery(),
  'two, during a rotation': delivery({ secrets: [OTHER, SECRET] }),
  'another version beside it': delivery({
    headers: {
      'webhook-signature': `v2,x ${sign([secretToKey(SECRET)], 'evt_1', nowSeconds, Buffer.from(BODY))}`,
    },
  }),
};

const BAD: Readonly<Record<string, Delivery>> = {
  'another secret': delivery({ secrets: [OTHER] }),
  'another body': delivery({ body: BODY.replace('created', 'deleted') }),
  'another ID': delivery({ headers: { 'webhook-id': 'evt_2' } }),
  'an old timestamp': delivery({ timestamp: nowSeconds - 3_600 }),
  'a timestamp in the future': delivery({ timestamp: nowSeconds + 3_600 }),
  'a timestamp that is no number': delivery({ headers: { 'webhook-timestamp': 'soon' } }),
  'no signature': delivery({ headers: { 'webhook-signature': '' } }),
  'an empty signature': delivery({ headers: { 'webhook-signature': 'v1,' } }),
  'a version that is not known': delivery({
    headers: {
      'webhook-signature': sign([secretToKey(SECRET)], 'evt_1', nowSeconds, Buffer.from(BODY)).replace(
        'v1',
        'v0',
      ),
    },
  }),
};

let folder = '';
const code = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-signatures-'));
  const guide = await readFile(new URL('./guides/signatures.md', import.meta.url), 'utf8');
  for (const [, language = '', text = ''] of guide.matchAll(/```(\w+)\n([\s\S]*?)```/g)) {
    // The first of each language is the code to copy.
    if (!code.has(language)) code.set(language, text);
  }
});

afterAll(() => rm(folder, { recursive: true }));

const all = { ...GOOD, ...BAD };

const expected = Object.fromEntries(
  Object.keys(all).map((name) => [name, name in GOOD ? JSON.parse(BODY) : 'refused']),
);

test('the TypeScript that the page shows accepts what Tandem signs, and nothing else', async () => {
  await writeFile(join(folder, 'verify.ts'), code.get('typescript') ?? '');
  const { verify } = await import(join(folder, 'verify.ts'));
  const results = Object.entries(all).map(([name, { secret, headers, body }]) => {
    try {
      return [name, verify(secret, headers, Buffer.from(body))];
    } catch {
      return [name, 'refused'];
    }
  });
  expect(Object.fromEntries(results)).toEqual(expected);
});

test.skipIf(!hasPython())(
  'the Python that the page shows accepts what Tandem signs, and nothing else',
  async () => {
    const script = `${code.get('python')}
import sys

def result(delivery):
    try:
        return verify(delivery["secret"], delivery["headers"], delivery["body"].encode())
    except ValueError:
        return "refused"

print(json.dumps({name: result(each) for name, each in json.loads(sys.argv[1]).items()}))
`;
    await writeFile(join(folder, 'verify.py'), script);
    const { stdout } = await promisify(execFile)('python3', [join(folder, 'verify.py'), JSON.stringify(all)]);
    expect(JSON.parse(stdout)).toEqual(expected);
  },
);
