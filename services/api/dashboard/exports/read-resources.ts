import type { Visit } from '../frame/visit.ts';
import type { Resource } from './export-types.ts';

/** Resources per page, and limit of pages: more than a catalog may have. */
const RESOURCES_PER_PAGE = 200;
const MAX_PAGES = 10;

/** All resources that can be exported. */
export async function readResources(visit: Visit): Promise<Resource[]> {
  const resources: Resource[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { limit: RESOURCES_PER_PAGE, ...(cursor === null ? {} : { cursor }) };
    const list: { data: Resource[]; next_cursor: string | null } = await visit.ask('listResources', {
      query,
    });
    resources.push(...list.data);
    cursor = list.next_cursor;
    if (cursor === null) break;
  }
  return resources;
}
