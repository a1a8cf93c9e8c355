import type { FastifyReply, FastifyRequest } from 'fastify';

/** Where Apollo Sandbox runs while it is not embedded in our own page. */
const STUDIO = 'https://studio.apollographql.com';

/** Lets Apollo Studio read the answer, and no other origin. Cookies are none of it: there are none. */
export function shareWithStudio(request: FastifyRequest, reply: FastifyReply): void {
  // Whatever the origin: a cache must not give the answer for one to another.
  void reply.header('vary', 'origin');
  if (request.headers.origin === STUDIO) void reply.header('access-control-allow-origin', STUDIO);
}

/** Whether a browser asks if Studio may post. */
export function isStudioPreflight({ headers }: FastifyRequest): boolean {
  return headers.origin === STUDIO && headers['access-control-request-method'] !== undefined;
}
