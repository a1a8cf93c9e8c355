import { HeaderMap, type HTTPGraphQLResponse } from '@apollo/server';
import type { FastifyReply, FastifyRequest } from 'fastify';

import type { GraphQLContext } from '../graphql/context.ts';
import type { GraphQLServer } from '../graphql/server.ts';

/** Routers send one `Accept`, people with tools a few more. */
const MAX_KNOWN_ACCEPTS = 50;

/** Answers a request whose body was parsed. */
export function createGraphQLHandler(
  { apollo, answerKnown }: GraphQLServer,
  createContext: (request: FastifyRequest, reply: FastifyReply) => GraphQLContext,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  // What Apollo Server makes of an `Accept` where it answers an operation.
  const contentTypes = new Map<string | undefined, string>();

  function learn(accept: string | undefined, { status, headers }: HTTPGraphQLResponse): void {
    const contentType = headers.get('content-type');
    if (status === undefined && contentType !== undefined && contentTypes.size < MAX_KNOWN_ACCEPTS) {
      contentTypes.set(accept, contentType);
    }
  }

  return async (request, reply) => {
    const context = createContext(request, reply);
    const { accept } = request.headers;
    const contentType = contentTypes.get(accept);
    if (contentType !== undefined && !('apollo-federation-include-trace' in request.headers)) {
      const answer = await answerKnown(request.body, context);
      if (answer !== undefined) {
        if (answer.cacheControl !== undefined) void reply.header('cache-control', answer.cacheControl);
        return reply.header('content-type', contentType).send(answer.body);
      }
    }

    const headers = new HeaderMap();
    for (const [name, value] of Object.entries(request.headers)) {
      if (value !== undefined) headers.set(name, typeof value === 'string' ? value : value.join(', '));
    }
    const answer = await apollo.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { method: request.method, headers, search: '', body: request.body },
      context: async () => context,
    });
    learn(accept, answer);
    for (const [name, value] of answer.headers) void reply.header(name, value);
    // Only what is deferred comes in pieces, and the schema has nothing to defer.
    const body = answer.body.kind === 'complete' ? answer.body.string : answer.body.asyncIterator;
    return reply.code(answer.status ?? 200).send(body);
  };
}
