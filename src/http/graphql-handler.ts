import { Readable } from 'node:stream';

import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';

import type { GraphQLAnswer, GraphQLServer } from '../graphql/server.ts';
import type { RequestScope } from '../request-scope.ts';
import { refuse } from './refusal.ts';

/** @see https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types */
const MEDIA_TYPES = ['application/json; charset=utf-8', 'application/graphql-response+json; charset=utf-8'];
const MAX_REMEMBERED_ACCEPTS = 50;

/** Creates the handler of GraphQL requests whose body has been parsed. */
export function createGraphQLHandler(
  graphql: GraphQLServer,
  begin: (
    request: FastifyRequest,
    reply: FastifyReply,
  ) => { readonly scope: RequestScope; readonly onAnswer: (answer: GraphQLAnswer) => void },
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  const negotiate = createNegotiation();
  return async (request, reply) => {
    const mediaType = negotiate(request.headers.accept);
    if (mediaType === undefined) return refuse(reply, 406);
    const { scope, onAnswer } = begin(request, reply);
    const answer = await graphql.answer({
      body: request.body,
      wantsFederatedTrace: request.headers['apollo-federation-include-trace'] === 'ftv1',
      scope,
    });
    onAnswer(answer);
    if (answer.cacheControl !== undefined) void reply.header('cache-control', answer.cacheControl);
    const { refusal, json } = answer;
    void reply.code(httpStatus(refusal)).header('content-type', mediaType);
    if (typeof json === 'string') return reply.send(json);
    reply.raw.once('close', () => release(json));
    const bytes = json.reduce((total, piece) => total + piece.length, 0);
    return reply.header('content-length', bytes).send(Readable.from(json));
  };
}

/** As GraphQL over HTTP defines it, but for persisted queries, whose protocol requires a 200. */
function httpStatus(refusal: GraphQLAnswer['refusal']): number {
  return refusal === undefined || refusal === 'PERSISTED_QUERY_NOT_SUPPORTED' ? 200 : 400;
}

/**
 * Moves the memory of pieces that are sent, or no longer will be, to young objects, which the next scavenge frees. V8
 * would wait until there are 64 MB of such pieces: sixty clients that did not read their answers took 320 to 390 MB in
 * place of 250 to 330.
 */
function release(pieces: readonly Buffer[]): void {
  // A short piece shares its memory with other buffers.
  const own = pieces.filter((piece) => piece.length === piece.buffer.byteLength);
  structuredClone(null, { transfer: own.map(({ buffer }) => buffer as ArrayBuffer) });
}

/**
 * Chooses the media type of an answer. The choices are cached, because routers send the same `Accept` again and again.
 */
function createNegotiation(): (accept: string | undefined) => string | undefined {
  const chosen = new LRUCache<string, string>({ max: MAX_REMEMBERED_ACCEPTS });
  return (accept) => {
    // Headers without an acceptable type are not cached, since such requests are refused anyway.
    if (!accept) return MEDIA_TYPES[0];
    let mediaType = chosen.get(accept);
    if (mediaType === undefined) {
      mediaType = new Negotiator({ headers: { accept } }).mediaType(MEDIA_TYPES);
      if (mediaType !== undefined) chosen.set(accept, mediaType);
    }
    return mediaType;
  };
}
