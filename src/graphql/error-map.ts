import { unwrapResolverError } from '@apollo/server/errors';
import { type ASTNode, GraphQLError, type GraphQLFormattedError } from 'graphql';

import { OneNetError, type OneNetErrorCode } from '../onenet-error.ts';
import {
  type DeviceTaskKey,
  isAbsent,
  type OtaTaskAbsent,
  type OtaTaskOutcome,
  type OtaTaskType,
} from '../ota-task.ts';
import type { RequestScope } from '../request-scope.ts';
import { locationOf } from './location.ts';

const MESSAGES = {
  OTA_INVALID_TYPE: 'OneNET does not accept this task type for the device.',
  OTA_TASK_NOT_FOUND: 'The device has no upgrade task, or the token of its task has expired.',
  OTA_TOKEN_EXPIRED: "The token of the device's task has expired; the upgrade is over.",
  ONENET_INTERNAL_ERROR: 'OneNET reports an internal error.',
  ONENET_UNKNOWN_ERRNO: 'OneNET answered with an error number that its document does not name.',
  ONENET_UNAUTHORIZED: "OneNET does not accept this service's credentials.",
  ONENET_RATE_LIMITED: 'OneNET accepts no more calls at the moment.',
  ONENET_UNAVAILABLE: 'OneNET cannot be reached at the moment.',
  ONENET_TIMEOUT: 'OneNET did not answer in time.',
  ONENET_BAD_RESPONSE: 'OneNET gave an answer that cannot be read.',
  BAD_USER_INPUT: 'This is not a valid reference to a device.',
  OPERATION_TOO_LARGE: 'The operation asks for more device tasks than are allowed at once.',
  INTERNAL_SERVER_ERROR: 'Internal server error.',
} as const satisfies Record<OneNetErrorCode, string> & Record<string, string>;

type ErrorCode = keyof typeof MESSAGES;

/** Every code that an operation's errors can have, including Apollo Server's codes for malformed requests. */
export const ERROR_CODES: readonly string[] = [
  ...Object.keys(MESSAGES),
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'PERSISTED_QUERY_NOT_SUPPORTED',
];

/** An error without its place in the answer. */
export interface Fault {
  readonly message: string;
  readonly extensions: {
    readonly code: ErrorCode;
    readonly errno?: number;
    readonly retryable: boolean;
    readonly deviceId?: string;
    readonly otaType?: OtaTaskType;
  };
  /** The internal error that this one masks, for the log. */
  readonly cause?: Error;
}

interface Details {
  readonly message?: string;
  readonly retryable?: boolean;
  readonly errno?: number | undefined;
  readonly key?: DeviceTaskKey;
}

function fault(code: ErrorCode, details: Details = {}): Fault {
  const { message = MESSAGES[code], retryable = false, errno, key } = details;
  return {
    message,
    extensions: {
      code,
      ...(errno === undefined ? {} : { errno }),
      retryable,
      ...(key === undefined ? {} : { deviceId: key.deviceId, otaType: key.type }),
    },
  };
}

/** The representation does not refer to a valid device. */
export const BAD_USER_INPUT = fault('BAD_USER_INPUT');

export const OPERATION_TOO_LARGE = fault('OPERATION_TOO_LARGE');

/** Messages quote the client's mistake, up to this many characters. */
export const MAX_MESSAGE_LENGTH = 500;

/** graphql-js rejected the value of an argument. */
export function badArgument({ message }: Pick<GraphQLError, 'message'>): Fault {
  return fault('BAD_USER_INPUT', { message: message.slice(0, MAX_MESSAGE_LENGTH) });
}

/**
 * What a field makes of an outcome, unless it is one to answer: having no task is an error on `otaTask` alone.
 *
 * @param outcome Undefined where the device's product is not, or when the operation was admitted was not, among those that
 * there are credentials for.
 */
export function faultOf(
  field: string,
  outcome: OtaTaskOutcome | Error | undefined,
  key: DeviceTaskKey,
): Fault | undefined {
  if (outcome === undefined) return fault('BAD_USER_INPUT', { key });
  if (outcome instanceof Error) return loadFailed(outcome, key);
  return field === 'otaTask' && isAbsent(outcome) ? taskAbsent(outcome, key) : undefined;
}

function taskAbsent({ reason, errno }: OtaTaskAbsent, key: DeviceTaskKey): Fault {
  return fault(reason === 'NO_TASK' ? 'OTA_TASK_NOT_FOUND' : 'OTA_TOKEN_EXPIRED', { errno, key });
}

function loadFailed(error: Error, key: DeviceTaskKey): Fault {
  if (!(error instanceof OneNetError)) return { ...fault('INTERNAL_SERVER_ERROR', { key }), cause: error };
  const { code, retryable } = error.consequences;
  return fault(code, { retryable, errno: error.errno, key });
}

/**
 * Makes the error that graphql-js places in the answer. It gets one node only: with several, graphql-js would list the
 * location of each merged node, and Apollo's federated trace would repeat them all.
 */
export function graphQLError(
  { message, extensions, cause }: Fault,
  [node]: readonly ASTNode[],
): GraphQLError {
  return new GraphQLError(message, { nodes: node ?? null, extensions, originalError: cause });
}

/** Receives each error that is neither one of ours nor the client's mistake. */
export type ReportUnforeseen = (
  cause: unknown,
  path: readonly (string | number)[] | undefined,
  scope: RequestScope,
) => void;

/**
 * graphql-js reports an invalid value from the client as an error with nodes, without a cause and without a code. Our
 * own errors have nodes too, but always a code.
 */
function isClientsMistake(error: unknown): boolean {
  const cause = unwrapResolverError(error);
  return (
    cause instanceof GraphQLError &&
    cause.originalError === undefined &&
    cause.nodes !== undefined &&
    cause.extensions['code'] === undefined
  );
}

/**
 * Formats every error of an operation that graphql-js executes: our own errors and those about the client's values
 * pass, all others are masked.
 */
export function formatError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const { message, path, extensions } = formatted;
  const node = error instanceof GraphQLError ? error.nodes?.[0] : undefined;
  const located = { ...(node && { locations: [locationOf(node)] }), ...(path && { path }) };
  if (isClientsMistake(error)) return { ...located, ...badArgument(formatted) };
  if (!isUnforeseen(formatted)) return { message, ...located, ...(extensions && { extensions }) };
  return {
    message: MESSAGES.INTERNAL_SERVER_ERROR,
    ...located,
    extensions: { retryable: false, ...extensions },
  };
}

function isUnforeseen({ extensions }: Pick<GraphQLFormattedError, 'extensions'>): boolean {
  return extensions?.['code'] === undefined || extensions['code'] === 'INTERNAL_SERVER_ERROR';
}

/** Reports the errors that `formatError` masks. */
export function reportUnforeseen(
  errors: readonly GraphQLError[],
  scope: RequestScope,
  report: ReportUnforeseen,
): void {
  for (const error of errors) {
    if (isClientsMistake(error) || !isUnforeseen(error)) continue;
    const cause = unwrapResolverError(error);
    report(cause instanceof GraphQLError ? (cause.originalError ?? cause) : cause, error.path, scope);
  }
}
