import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConnectionPool } from '../../../shared/postgres/pool.ts';
import { Session } from '../../../shared/postgres/session.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { type OwnPostgres, openOwnPostgres } from '../../support/own-postgres.ts';
import { testStack } from '../../support/stack.ts';

const CERT_ROLE = 'by_certificate';
/** Let in without TLS alone, with TLS alone, and not at all. */
const HBA_ROLES = ['plain_only', 'tls_only', 'nobody'] as const;

let directory: string;
let files: Certificates;
let others: Certificates;
let server: OwnPostgres;

const makeDirectory = (name: string) => {
  const path = mkdtempSync(join(tmpdir(), `tandem-tls-${name}-`));
  chmodSync(path, 0o755);
  return path;
};

beforeAll(async () => {
  directory = makeDirectory('ours');
  files = makeCertificates(directory, CERT_ROLE);
  const elsewhere = makeDirectory('theirs');
  others = makeCertificates(elsewhere, CERT_ROLE);
  const hba = join(directory, 'pg_hba.conf');
  writeFileSync(
    hba,
    `hostssl all ${CERT_ROLE} all cert
host all ${CERT_ROLE} all reject
hostnossl all plain_only all scram-sha-256
hostssl all tls_only all scram-sha-256
host all plain_only,tls_only,nobody all reject
host all all all scram-sha-256
`,
  );
  server = await openOwnPostgres({
    ssl: 'on',
    ssl_cert_file: files.server.cert,
    ssl_key_file: files.server.key,
    ssl_ca_file: files.authority,
    hba_file: hba,
  });
  const admin = new Session({ connectionString: server.url('postgres') });
  await admin.connect();
  await admin.query(`create role ${CERT_ROLE} login`);
  for (const role of HBA_ROLES) await admin.query(`create role ${role} login password '${role}'`);
  await admin.end();
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  for (const made of [files, others])
    if (made !== undefined) rmSync(join(made.authority, '..'), { recursive: true, force: true });
});

const urlWith = (params: Readonly<Record<string, string>>, { host = '127.0.0.1', user = '' } = {}) => {
  const url = new URL(server.url('postgres'));
  url.hostname = host;
  if (user !== '') {
    url.username = user;
    url.password = '';
  }
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return url.href;
};

/** Whether the connection is encrypted. */
async function isEncrypted(connectionString: string): Promise<boolean> {
  const session = new Session({ connectionString });
  try {
    await session.connect();
    const { rows } = await session.query<{ ssl: boolean }>(
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
    );
    return rows[0]?.ssl === true;
  } finally {
    await session.end().catch(() => undefined);
  }
}

test.each([
  ['disable', false],
  ['allow', true],
  ['prefer', true],
  ['require', true],
  ['no-verify', true],
  [undefined, true],
])('sslmode=%s of a server with a certificate that nobody vouches for: encrypted %s', async (sslmode, is) => {
  expect(await isEncrypted(urlWith(sslmode === undefined ? {} : { sslmode }))).toBe(is);
});

const asRole = (role: string, sslmode: string, password = role) => {
  const url = new URL(urlWith({ sslmode }, { user: role }));
  url.password = password;
  return url.href;
};

test.each(['allow', 'prefer'])(
  'sslmode=%s connects as pg_hba.conf lets in: with TLS alone, or without it alone',
  async (sslmode) => {
    expect(await isEncrypted(asRole('tls_only', sslmode))).toBe(true);
    expect(await isEncrypted(asRole('plain_only', sslmode))).toBe(false);
    await expect(isEncrypted(asRole('plain_only', 'require'))).rejects.toThrow(/pg_hba.conf rejects/);
    await expect(isEncrypted(asRole('nobody', sslmode))).rejects.toThrow(
      /pg_hba.conf rejects.*no encryption/,
    );
  },
);

test('a wrong password is no reason to send it without TLS', async () => {
  await expect(isEncrypted(asRole('tls_only', 'prefer', 'wrong'))).rejects.toThrow(/password authentication/);
});

test.each([
  ['require', '127.0.0.1'],
  ['verify-ca', '127.0.0.1'],
  ['verify-full', 'localhost'],
])('with its authority sslmode=%s takes the server at %s', async (sslmode, host) => {
  expect(await isEncrypted(urlWith({ sslmode, sslrootcert: files.authority }, { host }))).toBe(true);
});

test('a name that is not in the certificate is refused by verify-full alone', async () => {
  const params = { sslmode: 'verify-full', sslrootcert: files.authority };
  await expect(isEncrypted(urlWith(params))).rejects.toThrow(/does not match certificate's altnames/);
});

test.each(['require', 'verify-ca', 'verify-full'])(
  'sslmode=%s refuses a server of another authority',
  async (sslmode) => {
    const params = { sslmode, sslrootcert: others.authority };
    await expect(isEncrypted(urlWith(params, { host: 'localhost' }))).rejects.toThrow(/certificate/);
  },
);

test.each(['verify-ca', 'verify-full'])(
  'sslmode=%s without an authority trusts no stranger',
  async (sslmode) => {
    await expect(isEncrypted(urlWith({ sslmode }, { host: 'localhost' }))).rejects.toThrow(/certificate/);
  },
);

test("sslrootcert=system takes the system's authorities, and no name unseen", async () => {
  const url = urlWith({ sslrootcert: 'system' }, { host: 'localhost' });
  await expect(isEncrypted(url)).rejects.toThrow(/certificate/);
  for (const sslmode of ['require', 'verify-ca'])
    expect(() => new Session({ connectionString: urlWith({ sslmode, sslrootcert: 'system' }) })).toThrow(
      /use sslmode=verify-full/,
    );
  // A system that knows ours: Node reads its store once, at start.
  const script = `
    import { Session } from ${JSON.stringify(new URL('../../../shared/postgres/session.ts', import.meta.url).href)};
    const session = new Session({ connectionString: process.argv[1] });
    await session.connect();
    await session.end();
    console.log('connected');`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, url], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', SSL_CERT_FILE: files.authority },
  });
  expect([stdout, stderr]).toEqual(['connected\n', '']);
});

test.each([
  [{ sslmode: 'verify-ca', sslrootcert: '/nowhere/ca.pem' }, /sslrootcert=\/nowhere\/ca\.pem.*ENOENT/],
  [{ sslmode: 'require', sslcert: '/nowhere/client.pem' }, /sslcert=\/nowhere\/client\.pem/],
  [{ sslmode: 'strict' }, /sslmode must be one of .* not "strict"/],
])('%j is an error that says what is wrong', (params, message) => {
  const open = () => new Session({ connectionString: urlWith(params as Record<string, string>) });
  expect(open).toThrow(SetupError);
  expect(open).toThrow(message);
});

test('a file that holds no certificate, or no key, is named', () => {
  const empty = join(directory, 'pg_hba.conf');
  for (const params of [
    { sslmode: 'verify-ca', sslrootcert: empty },
    { sslcert: empty },
    { sslcert: files.client.cert, sslkey: files.client.cert },
  ])
    expect(() => new Session({ connectionString: urlWith(params as Record<string, string>) })).toThrow(
      /holds no PEM/,
    );
});

test('a client certificate stands for a password, also with a key that a password opens', async () => {
  const { cert, key, encryptedKey, password } = files.client;
  const user = CERT_ROLE;
  const mine = { sslmode: 'require', sslcert: cert };
  expect(await isEncrypted(urlWith({ ...mine, sslkey: key }, { user }))).toBe(true);
  expect(await isEncrypted(urlWith({ ...mine, sslkey: encryptedKey, sslpassword: password }, { user }))).toBe(
    true,
  );
  await expect(isEncrypted(urlWith({ sslmode: 'require' }, { user }))).rejects.toThrow(/certificate/);
  const theirs = { sslmode: 'require', sslcert: others.client.cert, sslkey: others.client.key };
  await expect(isEncrypted(urlWith(theirs, { user }))).rejects.toThrow();
});

test('a pool reads its URL alike', async () => {
  const params = { sslmode: 'verify-full', sslrootcert: files.authority };
  const pool = new ConnectionPool({ connectionString: urlWith(params, { host: 'localhost' }), max: 1 });
  expect((await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows).toEqual([
    { ssl: true },
  ]);
  await pool.end();
});

test('a server without TLS is taken by allow and prefer, and by no mode that asks for it', async () => {
  const plain = (sslmode: string) => {
    const url = new URL(testStack().databaseUrl);
    url.searchParams.set('sslmode', sslmode);
    return url.href;
  };
  expect(await isEncrypted(plain('allow'))).toBe(false);
  expect(await isEncrypted(plain('prefer'))).toBe(false);
  await expect(isEncrypted(plain('require'))).rejects.toThrow(/does not support SSL/);
});
