import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { PublicUrls } from '../http/public-urls.ts';
import type { ApiRequest, Route } from '../http/route.ts';
import type { Assets } from '../pages/assets.ts';
import { definePage } from '../pages/define-page.ts';
import { staticPageResponse } from '../pages/page-response.ts';
import type { ApiDocument } from './document.ts';
import { openApiOf } from './openapi.ts';
import { createDocsSite, type DocsSite } from './site.ts';

export interface DocsPageDeps {
  readonly version: string;
  readonly catalog: Catalog;
  readonly urls: PublicUrls;
  readonly assets: Pick<Assets, 'path'>;
}

/**
 * The pages at `/docs`, from the document of the given routes as customers see it. Made on the first request,
 * because the public URL is known only then.
 */
export function docsPageRoutes(
  routes: readonly Route[],
  { version, catalog, urls, assets }: DocsPageDeps,
): Route[] {
  let site: DocsSite | undefined;
  const respond = async (request: ApiRequest, name: string) => {
    site ??= createDocsSite({ document: describe(), version, urls, assets });
    const page = await site.page(name);
    return page === undefined
      ? staticPageResponse(request, site.missingPage(), { status: 404 })
      : staticPageResponse(request, page);
  };
  const describe = (): ApiDocument => {
    const document = openApiOf(routes, { version, server: urls.absolute(''), reader: 'customer', catalog });
    // Plain JSON, as programs get it.
    return JSON.parse(JSON.stringify(document));
  };
  return [
    definePage('/docs', (request) => respond(request, '')),
    definePage('/docs/{page}', (request) => respond(request, request.param('page'))),
    definePage('/docs/{section}/{page}', (request) =>
      respond(request, `${request.param('section')}/${request.param('page')}`),
    ),
  ];
}
