import type { FastifyInstance } from 'fastify';

/**
 * Serves Apollo Sandbox at the GraphQL endpoint, and answers the preflight by which a browser asks whether Apollo
 * Studio may post there: it may, with any headers.
 *
 * @param page Renders the page as HTML.
 */
export function serveSandbox(server: FastifyInstance, path: string, page: () => Promise<string>): void {
  server.get(path, async (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/html',
        // The page has a policy of its own in a `meta` element, where `frame-ancestors` has no effect.
        'content-security-policy': "frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
      })
      .send(await page()),
  );
  server.options(path, (request, reply) =>
    reply
      .code(204)
      .headers({
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'content-type',
        vary: 'origin, access-control-request-headers',
      })
      .send(),
  );
}
