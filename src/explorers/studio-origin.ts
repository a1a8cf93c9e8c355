import type { FastifyReply, FastifyRequest } from 'fastify';

/** The origin of Apollo Sandbox when it is not embedded in our own page. */
const STUDIO = 'https://studio.apollographql.com';

/**
 * Lets Apollo Studio, and no other origin, read the answer. It needs no credentials mode, because there are no cookies.
 */
export function shareWithStudio(request: FastifyRequest, reply: FastifyReply): void {
  // Set for every origin, because a cache must not serve the answer for one origin to another.
  void reply.header('vary', 'origin');
  if (request.headers.origin === STUDIO) void reply.header('access-control-allow-origin', STUDIO);
}

/** Whether this is the preflight of a request from Apollo Studio. */
export function isStudioPreflight({ headers }: FastifyRequest): boolean {
  return headers.origin === STUDIO && headers['access-control-request-method'] !== undefined;
}
