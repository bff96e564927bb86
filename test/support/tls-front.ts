import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type RequestListener, request as send } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TlsFront extends AsyncDisposable {
  readonly port: number;
}

/** Serves https on a port of its own, with a certificate that nobody has signed, for whatever name it is asked by. */
export async function openTlsFront(handle: RequestListener): Promise<TlsFront> {
  const server = createServer(selfSigned(), handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Passes requests on as they are, as a proxy that ends TLS does. */
export function passTo(target: () => string): RequestListener {
  return (request, response) => {
    const { method, headers, url } = request;
    const passed = send(`${target()}${url}`, { method, headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  };
}

function selfSigned(): { key: Buffer; cert: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-tls-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      ...curve,
      ...['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=tandem.test'],
      ...['-addext', 'subjectAltName=DNS:*.test'],
    ]);
    if (made.status !== 0) throw new Error(String(made.stderr));
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
