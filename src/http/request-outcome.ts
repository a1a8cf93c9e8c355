import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { Logger } from 'pino';

import type { OnAnswer } from '../graphql/answer-report.ts';
import type { Metrics, Outcome } from './metrics.ts';
import { logFieldsOf } from './requester.ts';

/**
 * Counts the requests to the GraphQL endpoint, those that never reach GraphQL included. To be called before any hook
 * that refuses requests.
 *
 * @returns What is to be told how the operation of a request was answered.
 */
export function countRequests(
  server: FastifyInstance,
  graphqlPath: string,
  metrics: Metrics,
  logger: Logger,
): (reply: FastifyReply) => OnAnswer {
  const answers = new WeakMap<FastifyReply, Outcome>();

  server.addHook('onRequest', (request, reply, done) => {
    if (isFor(graphqlPath, request)) {
      metrics.requestStarted();
      reply.raw.once('close', () => {
        const { statusCode: status, elapsedTime: durationMs } = reply;
        const outcome = outcomeOf(reply, answers.get(reply));
        metrics.requestEnded(outcome, status, durationMs);
        if (logger.isLevelEnabled('debug')) {
          logger.debug({ outcome, status, durationMs, ...logFieldsOf(request) }, 'request ended');
        }
      });
    }
    done();
  });
  return (reply) => (kind, errors) => {
    answers.set(reply, kind);
    metrics.errors(errors);
  };
}

function isFor(path: string, { is404, routeOptions, url }: FastifyRequest): boolean {
  // A method without a route of its own counts too.
  return is404 ? url.split('?', 1)[0] === path : routeOptions.url === path;
}

function outcomeOf({ raw, statusCode }: FastifyReply, answer: Outcome = 'ok'): Outcome {
  if (!raw.writableFinished) return 'aborted';
  if (statusCode === 503) return 'shed';
  if (statusCode >= 500) return 'failed';
  return statusCode >= 400 ? 'refused' : answer;
}
