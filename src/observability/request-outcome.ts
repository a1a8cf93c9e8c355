import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import type { GraphQLAnswer } from '../graphql/server.ts';
import type { RequestTrace } from '../request-scope.ts';
import type { TracedRequest, TraceRequest } from './tracing.ts';
import type { Metrics, Outcome } from './metrics.ts';
import { logFieldsOf } from './request-id.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** Of a GraphQL request; null for others. */
    followed: Followed | null;
  }
}

/** What is known about a request until it ends. */
interface Followed {
  readonly startedMs: number;
  answer?: GraphQLAnswer;
  traced?: TracedRequest | undefined;
}

export interface Follow {
  /** Must be called with the answer to the operation. */
  readonly onAnswer: (answer: GraphQLAnswer) => void;
  readonly trace: RequestTrace | undefined;
}

/**
 * Counts requests to the GraphQL endpoint, including those that are refused before they reach GraphQL. Must be called
 * before any hook that refuses requests is added.
 *
 * @param isForGraphQL Whether a request is for the GraphQL endpoint, whatever its method.
 * @returns Follows a request into GraphQL; only such requests are traced.
 */
export function followRequests(
  server: FastifyInstance,
  isForGraphQL: (request: FastifyRequest) => boolean,
  metrics: Metrics,
  logger: Logger,
  traceRequest: TraceRequest | undefined,
): (request: FastifyRequest, reply: FastifyReply) => Follow {
  server.decorateReply('followed', null);
  server.addHook('onRequest', (request, reply, done) => {
    if (isForGraphQL(request)) {
      const followed: Followed = { startedMs: performance.now() };
      reply.followed = followed;
      metrics.requestStarted();
      reply.raw.once('close', () => {
        const { statusCode: status } = reply;
        const durationMs = performance.now() - followed.startedMs;
        const outcome = outcomeOf(reply, followed.answer?.kind);
        metrics.requestEnded(outcome, status, durationMs);
        followed.traced?.end(status, outcome);
        if (logger.isLevelEnabled('debug')) {
          const { engine } = followed.answer ?? {};
          logger.debug({ outcome, status, durationMs, engine, ...logFieldsOf(request) }, 'request ended');
        }
      });
    }
    done();
  });

  return (request, reply) => {
    const followed = reply.followed as Followed;
    followed.traced = traceRequest?.(request.headers, performance.now() - followed.startedMs);
    return {
      trace: followed.traced?.trace,
      onAnswer(answer) {
        followed.answer = answer;
        metrics.errors(answer.errorCounts);
      },
    };
  };
}

function outcomeOf({ raw, statusCode }: FastifyReply, answer: Outcome = 'ok'): Outcome {
  if (!raw.writableFinished) return 'aborted';
  if (statusCode === 503) return 'shed';
  if (statusCode >= 500) return 'failed';
  return statusCode >= 400 ? 'refused' : answer;
}
