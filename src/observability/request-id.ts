import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { FastifyRequest } from 'fastify';

import type { RequestScope } from '../request-scope.ts';

/** Ids that proxies generate; excludes anything that could forge a log line or a header. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;
const TRACE_PARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

/** The request's `x-request-id`, if it is well-formed, or a new id. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/**
 * The fields that identify a request in the log.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function logFieldsOf({
  id,
  headers,
}: Pick<FastifyRequest, 'id' | 'headers'>): ReturnType<RequestScope['logFields']> {
  const { traceparent } = headers;
  const traceId = typeof traceparent === 'string' ? TRACE_PARENT.exec(traceparent)?.[1] : undefined;
  return traceId === undefined ? { requestId: id } : { requestId: id, traceId };
}
