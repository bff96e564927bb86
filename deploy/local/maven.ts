import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';

/** A Maven repository that is asked without Maven. */
export interface MavenRepository {
  /** Without a login and without a slash at the end. */
  readonly url: string;
  readonly authorization?: string;
}

/** The repository that `TANDEM_MAVEN_REPOSITORY` names. @throws SetupError when it is no URL of one */
export function readRepository(env: Env): MavenRepository | undefined {
  const text = env.TANDEM_MAVEN_REPOSITORY?.trim();
  return text ? toRepository(text, 'TANDEM_MAVEN_REPOSITORY') : undefined;
}

/** The mirror of Maven Central in the user's own settings of Maven, for a machine without Maven. */
export function findMirror(env: Env, home = homedir()): MavenRepository | undefined {
  const path = join(env.HOME || home, '.m2', 'settings.xml');
  let xml: string;
  try {
    xml = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const url = mirrorOfCentral(xml);
  return url === undefined ? undefined : toRepository(url, `the mirror in ${path}`);
}

/** The URL of the first `<mirror>` that stands for Maven Central, as Maven chooses it; one that is blocked never does. */
export function mirrorOfCentral(xml: string): string | undefined {
  const mirrors = [...xml.replace(/<!--[\s\S]*?-->/g, '').matchAll(/<mirror>([\s\S]*?)<\/mirror>/g)];
  const found = mirrors.find(
    ([, mirror = '']) => standsForCentral(textOf(mirror, 'mirrorOf')) && textOf(mirror, 'blocked') !== 'true',
  );
  return found === undefined ? undefined : textOf(found[1] ?? '', 'url');
}

/** Central is another machine's, and reached by https. */
function standsForCentral(mirrorOf: string): boolean {
  const patterns = mirrorOf.split(',').map((pattern) => pattern.trim());
  if (patterns.includes('!central')) return false;
  return patterns.some((pattern) => ['central', '*', 'external:*'].includes(pattern));
}

function textOf(xml: string, tag: string): string {
  const text = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? '';
  return text.trim().replaceAll('&amp;', '&');
}

function toRepository(text: string, source: string): MavenRepository {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new SetupError(
      `${source} must be the http or https address of a Maven repository, without a query`,
    );
  }
  const login = [url.username, url.password].map(decodeURIComponent);
  url.username = '';
  url.password = '';
  const address = url.href.replace(/\/+$/, '');
  if (login.every((part) => part === '')) return { url: address };
  return { url: address, authorization: `Basic ${Buffer.from(login.join(':')).toString('base64')}` };
}
