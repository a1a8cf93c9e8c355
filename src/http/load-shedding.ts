import underPressure from '@fastify/under-pressure';
import type { FastifyInstance } from 'fastify';

import { refuse } from './refusal.ts';

/** A mean delay of the event loop, over a second, at which more requests would only make all of them late. */
const MAX_EVENT_LOOP_DELAY_MS = 300;
/** GraphQL requests at once; what each of them may ask of OneNET is limited elsewhere. */
const MAX_REQUESTS_UNDER_WAY = 2000;
const RETRY_AFTER_SECONDS = 2;

/**
 * Refuses GraphQL requests with 503 while the service cannot keep up; probes are always answered.
 *
 * @returns Whether the next GraphQL request would be refused.
 */
export function shedLoad(server: FastifyInstance, graphqlPath: string): () => boolean {
  let underWay = 0;
  const isOverloaded = (): boolean => underWay >= MAX_REQUESTS_UNDER_WAY || server.isUnderPressure();

  // It measures; what follows from it is decided below.
  void server.register(underPressure, {
    maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS,
    pressureHandler: () => undefined,
  });
  server.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url !== graphqlPath) return;
    if (isOverloaded()) return refuse(reply.header('retry-after', RETRY_AFTER_SECONDS), 503);
    underWay++;
    reply.raw.once('close', () => underWay--);
  });
  return isOverloaded;
}
