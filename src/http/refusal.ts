import type { FastifyReply } from 'fastify';

/** Codes for what only a hand-made request can cause; GraphQL's own mistakes carry Apollo's. */
const CODES: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'BAD_REQUEST',
  408: 'BAD_REQUEST',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  431: 'BAD_REQUEST',
  503: 'SERVICE_UNAVAILABLE',
};

const MESSAGES: Readonly<Record<number, string>> = {
  400: 'The request is malformed.',
  401: 'The request lacks the right router-authorization header.',
  404: 'There is nothing at this path.',
  405: 'This method is not allowed at this path.',
  406: 'Answers are application/json or application/graphql-response+json, and the request accepts neither.',
  408: 'The request took too long to arrive.',
  413: 'The request is too large.',
  415: 'Only application/json in UTF-8 is accepted, as it is or compressed with gzip, deflate or br.',
  431: 'The request headers are too large.',
  503: 'The service takes no more requests at the moment.',
};

/** The body of an answer that never reached GraphQL, in the shape that GraphQL clients understand. */
export function errorBody(status: number): string {
  const message = MESSAGES[status] ?? 'Internal server error.';
  const code = CODES[status] ?? 'INTERNAL_SERVER_ERROR';
  return JSON.stringify({ errors: [{ message, extensions: { code } }] });
}

/** The status that an error of the web server stands for; what it does not name is our own fault. */
export function statusOf(error: unknown): number {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (CODES[status] !== undefined) return status;
  return status >= 400 && status < 500 ? 400 : 500;
}

export function refuse(reply: FastifyReply, status: number): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(errorBody(status));
}
