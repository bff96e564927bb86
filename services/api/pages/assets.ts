import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Route } from '../http/route.ts';
import { definePage } from './define-page.ts';

/** The styles, modules and pictures of the pages, as files that a browser keeps for good. */
export interface Assets {
  /** The path of a file, with the hash of all of them. @throws RangeError for a file that is not there */
  path(name: string): string;
  readonly route: Route;
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
};

/**
 * All files of `assets/`, read once. The hash covers all of them, so that a module imports another by its plain
 * name and still gets the one it was written with.
 */
export function createAssets(folder = new URL('./assets/', import.meta.url)): Assets {
  const names = readdirSync(folder)
    .filter((name) => TYPES[extname(name)] !== undefined)
    .sort();
  const files = new Map(names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
  const hash = createHash('sha256');
  for (const [name, text] of files) hash.update(`${name}\0${text.length}\0${text}`);
  const version = hash.digest('hex').slice(0, 16);
  return {
    path(name) {
      if (!files.has(name)) throw new RangeError(`no asset ${name}`);
      return `/assets/${version}/${name}`;
    },
    route: definePage('/assets/{version}/{file}', async (request) => {
      const name = request.param('file');
      const text = files.get(name);
      if (text === undefined) throw new AppError('not_found', `There is nothing at ${request.path}.`);
      // A page of an earlier or later version, served by another instance, gets what is here, for now.
      const isCurrent = request.param('version') === version;
      return {
        status: 200,
        headers: {
          'content-type': TYPES[extname(name)] ?? '',
          'cache-control': isCurrent ? 'public, max-age=31536000, immutable' : 'no-store',
          'x-content-type-options': 'nosniff',
        },
        body: text,
      };
    }),
  };
}
