import type { FastifyInstance } from 'fastify';

/**
 * Serves Apollo Sandbox where the GraphQL endpoint is, and answers the browser that asks whether Apollo Studio may post
 * there: it may, with whatever headers it and its users choose.
 *
 * @param page Gives it as HTML.
 */
export function serveSandbox(server: FastifyInstance, path: string, page: () => Promise<string>): void {
  server.get(path, async (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/html',
        // Beside the policy that the page has in itself, where this has no effect.
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
