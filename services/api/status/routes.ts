import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { EXAMPLE_STATUS, statusSchema } from './response.ts';
import { createStatusReader, type StatusDeps } from './status-reader.ts';

/** What an operator looks at first. */
export function statusRoutes(deps: StatusDeps): Route[] {
  const read = createStatusReader(deps);
  return [
    defineRoute({
      method: 'GET',
      path: '/admin/status',
      operationId: 'getStatus',
      tag: 'operator',
      summary: 'Show what runs, what waits, and what holds work up',
      description:
        'Processes, feed, queues, consumer lag and transactions in one reading. It is shared: however many ask, it is read once in two seconds. `bottlenecks` names what makes work slow; the runbook has an entry for each.',
      example: {},
      access: 'operator',
      account: 'none',
      responses: {
        200: { description: 'The status.', schema: statusSchema, example: EXAMPLE_STATUS },
      },
      handle: async () => jsonResponse(200, await read()),
    }),
  ];
}
