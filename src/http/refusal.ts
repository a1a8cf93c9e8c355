import { STATUS_CODES } from 'node:http';

import type { FastifyReply } from 'fastify';

/**
 * Codes of refusals outside GraphQL, which only a hand-made request can cause. Errors of GraphQL itself have Apollo's
 * codes.
 */
const CODES: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'BAD_REQUEST',
  408: 'BAD_REQUEST',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  417: 'BAD_REQUEST',
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
  417: 'The service meets no expectation but 100-continue.',
  431: 'The request headers are too large.',
  503: 'The service takes no more requests at the moment.',
};

const JSON_TYPE = 'application/json; charset=utf-8';
const RETRY_AFTER_SECONDS = 2;

/** The body of a refusal outside GraphQL, in the shape that GraphQL clients expect. */
function errorBody(status: number): string {
  const message = MESSAGES[status] ?? 'Internal server error.';
  const code = CODES[status] ?? 'INTERNAL_SERVER_ERROR';
  return JSON.stringify({ errors: [{ message, extensions: { code } }] });
}

/** Maps an error of the web server to an HTTP status; an error without a 4xx status is our own fault, a 500. */
export function statusOf(error: unknown): number {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (CODES[status] !== undefined) return status;
  return status >= 400 && status < 500 ? 400 : 500;
}

export function refuse(reply: FastifyReply, status: number): FastifyReply {
  if (status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS);
  return reply.code(status).type(JSON_TYPE).send(errorBody(status));
}

/** Serialises a refusal as a raw HTTP response, for input that never becomes a request. It closes the connection. */
export function refusalBytes(status: number, requestId: string): string {
  const body = errorBody(status);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `Content-Type: ${JSON_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
