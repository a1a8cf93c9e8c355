import { GraphQLError, type GraphQLFormattedError } from 'graphql';

import { MAX_MESSAGE_LENGTH } from './error-map.ts';
import { locationOf } from './location.ts';

/** Apollo's codes for requests that cannot be executed. */
export type RequestErrorCode =
  | 'BAD_REQUEST'
  | 'GRAPHQL_PARSE_FAILED'
  | 'GRAPHQL_VALIDATION_FAILED'
  | 'OPERATION_RESOLUTION_FAILURE'
  | 'PERSISTED_QUERY_NOT_SUPPORTED'
  | 'BAD_USER_INPUT';

/** A request that the client must correct; no part of it is executed. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: RequestErrorCode;
  readonly errors: readonly GraphQLFormattedError[];

  /** @param causes Errors of graphql-js, or messages of our own. */
  constructor(code: RequestErrorCode, causes: readonly (GraphQLError | string)[]) {
    super('The request cannot be executed.');
    this.code = code;
    this.errors = causes.map((cause) => format(cause, code));
  }
}

function format(cause: GraphQLError | string, code: RequestErrorCode): GraphQLFormattedError {
  const extensions = code === 'BAD_USER_INPUT' ? { code, retryable: false } : { code };
  if (typeof cause === 'string') return { message: cause, extensions };
  const [node] = cause.nodes ?? [];
  const location = node === undefined ? cause.locations?.[0] : locationOf(node);
  return {
    message: cause.message.slice(0, MAX_MESSAGE_LENGTH),
    ...(location && { locations: [location] }),
    extensions,
  };
}
