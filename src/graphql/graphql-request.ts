import type { OperationRequest } from './operation-cache.ts';
import { RequestError } from './request-error.ts';

/**
 * Reads the body of a GraphQL request.
 *
 * @throws RequestError if the body is not a valid request.
 * @see https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters
 */
export function readGraphQLRequest(body: unknown): OperationRequest {
  if (!isRecord(body)) throw malformed('The body must be a JSON object.');
  const { query, operationName, variables, extensions } = body;
  if (!isAbsent(operationName) && typeof operationName !== 'string') {
    throw malformed('operationName must be a string.');
  }
  if (!isAbsent(variables) && !isRecord(variables)) throw malformed('variables must be an object.');
  if (!isAbsent(extensions) && !isRecord(extensions)) throw malformed('extensions must be an object.');
  if (!isAbsent(extensions?.['persistedQuery'])) {
    // Clients that use persisted queries recognise this message and send the full text instead.
    throw new RequestError('PERSISTED_QUERY_NOT_SUPPORTED', ['PersistedQueryNotSupported']);
  }
  if (typeof query !== 'string' || query === '') throw malformed('query must be a string, and not empty.');
  return { query, variables: variables ?? {}, ...(isAbsent(operationName) ? {} : { operationName }) };
}

function malformed(message: string): RequestError {
  return new RequestError('BAD_REQUEST', [message]);
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
