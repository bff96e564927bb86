import net from 'node:net';
import tls from 'node:tls';

/** Where a connection with `sslmode=prefer` or `allow` leads, and as whom. `pg_hba.conf` decides by all of it. */
export interface OptionalTlsTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly ssl: tls.ConnectionOptions;
}

/** What a server offers and lets in changes with its configuration at most. */
const ANSWER_KEPT_MS = 60_000;

const answers = new Map<string, { readonly isTls: boolean; readonly atMs: number }>();

/** Length and code of PostgreSQL's SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Protocol 3.0. */
const PROTOCOL_VERSION = 0x0003_0000;

const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);

/** `invalid_authorization_specification`: no line of pg_hba.conf lets such a connection in. */
const NOT_LET_IN = '28000';

/**
 * Whether to connect with TLS. `pg` knows TLS or none, so the server is asked first on a connection of its own, as libpq does on
 * the connection itself: without TLS if the server offers none, the handshake fails, or pg_hba.conf refuses such a connection
 * before it asks for a password (`hostnossl`). Where nothing answers, the connection itself says what is wrong.
 */
export async function wantsTls(target: OptionalTlsTarget, limitMs: number): Promise<boolean> {
  // A local socket needs no TLS.
  if (target.host.startsWith('/')) return false;
  const { host, port, user, database } = target;
  const key = JSON.stringify([host, port, user, database]);
  const known = answers.get(key);
  if (known !== undefined && Date.now() - known.atMs < ANSWER_KEPT_MS) return known.isTls;
  const answer = await askServer(target, limitMs);
  if (answer === 'nothing') return false;
  const isTls = answer === 'let in' || answer === 'unclear';
  if (answer !== 'unclear') answers.set(key, { isTls, atMs: Date.now() });
  return isTls;
}

/** `unclear`: the server has TLS, and other troubles now, such as too many connections. */
type Answer = 'nothing' | 'no TLS' | 'let in' | 'refused' | 'unclear';

function askServer(target: OptionalTlsTarget, limitMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: target.host, port: target.port });
    let isOffered = false;
    const end = (answer: Answer) => {
      resolve(answer);
      socket.destroy();
    };
    const silent = () => end(isOffered ? 'unclear' : 'nothing');
    socket.setTimeout(limitMs, silent);
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('error', silent);
    socket.once('close', silent);
    socket.once('data', (data) => {
      if (data[0] !== 'S'.charCodeAt(0)) return end('no TLS');
      isOffered = true;
      askToBeLetIn(socket, target, end);
    });
  });
}

function askToBeLetIn(socket: net.Socket, target: OptionalTlsTarget, end: (answer: Answer) => void): void {
  const { host, ssl } = target;
  const secure = tls.connect({ ...ssl, socket, host, ...(net.isIP(host) === 0 ? { servername: host } : {}) });
  let isEncrypted = false;
  secure.once('error', () => end(isEncrypted ? 'unclear' : 'refused'));
  secure.once('secureConnect', () => {
    isEncrypted = true;
    secure.write(startupMessage(target));
  });
  const parts: Buffer[] = [];
  secure.on('data', (part: Buffer) => {
    parts.push(part);
    const answer = readAnswer(Buffer.concat(parts));
    if (answer === undefined) return;
    // In order, so that the server has nothing to log.
    if (answer.isIn) secure.write(TERMINATE);
    secure.end(() => end(answer.answer));
  });
}

function startupMessage({ user, database }: OptionalTlsTarget): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length, 0);
  head.writeInt32BE(PROTOCOL_VERSION, 4);
  return Buffer.concat([head, body]);
}

/** Reads the first message: a request to authenticate, or why not. Undefined until it is whole. */
function readAnswer(data: Buffer): { readonly answer: Answer; readonly isIn: boolean } | undefined {
  if (data.length < 5 || data.length < 1 + data.readInt32BE(1)) return undefined;
  const kind = String.fromCharCode(data[0] ?? 0);
  if (kind === 'R') return { answer: 'let in', isIn: data.readInt32BE(5) === 0 };
  const fields = data
    .subarray(5, 1 + data.readInt32BE(1))
    .toString('latin1')
    .split('\0');
  const isRefused = kind === 'E' && fields.includes(`C${NOT_LET_IN}`);
  return { answer: isRefused ? 'refused' : 'unclear', isIn: false };
}
