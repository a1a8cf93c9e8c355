import { gzipSync } from 'node:zlib';

import type { Fault } from '../src/simulator/simulator.ts';
import { httpAnswer, type RawConnection, taskAnswer } from './onenet/raw-upstream.ts';

/** Text of OneNET in its failures. It must not appear in any answer, metric or log line. */
export const CANARY = 'canary-5b1d';

/** What the service makes of a failure, whoever asks. */
interface Outcome {
  readonly code: string;
  readonly retryable: boolean;
  readonly errno?: number;
  /** The reason, as one word of logs, metrics and spans. */
  readonly result: string;
  /** The detail in the log: what was wrong with an answer. */
  readonly detail?: string;
  /** The number of attempts if every one of them fails. */
  readonly attempts: 1 | 2;
  /** Whether the circuit counts it as a failure. */
  readonly isOutage: boolean;
  /** The absence reason, if OneNET reports one: an error on `otaTask` only. */
  readonly absence?: string;
}

/** A failure that the simulator can produce. */
export interface Failure extends Outcome {
  readonly cause: string;
  /** The device that it happens to, when one upstream serves several. */
  readonly deviceId: string;
  readonly fault: Fault;
}

/** A failure that needs a raw socket. */
export interface WireFailure extends Outcome {
  /** Completes a sentence that begins with "the upstream". */
  readonly cause: string;
  /** What the upstream does after reading a request. */
  readonly behave: (connection: RawConnection) => Promise<void> | void;
}

const refused = { retryable: false, attempts: 1, isOutage: false } as const;
const unauthorized = { ...refused, code: 'ONENET_UNAUTHORIZED', result: 'unauthorized' };
const rateLimited = { ...refused, code: 'ONENET_RATE_LIMITED', retryable: true, result: 'rate-limited' };
const requestTimedOut = {
  ...refused,
  code: 'ONENET_UNAVAILABLE',
  retryable: true,
  result: 'request-timeout',
};
const outage = { retryable: true, isOutage: true } as const;
const unavailable = { ...outage, code: 'ONENET_UNAVAILABLE', attempts: 2 } as const;
const serverError = { ...unavailable, result: 'server-error' };
const connectionFailed = { ...unavailable, result: 'connection' };
const timedOut = { ...outage, code: 'ONENET_TIMEOUT', result: 'timeout', attempts: 1 } as const;
const tooLarge = badResponse('body larger than 65536 bytes');

function byErrno(errno: number, code: string, result: string): Outcome {
  return { ...refused, code, errno, result };
}

function absent(errno: number, code: string, absence: string): Outcome {
  return { ...refused, code, errno, result: 'absent', absence };
}

function badResponse(detail: string): Outcome {
  return { ...refused, code: 'ONENET_BAD_RESPONSE', result: 'bad-response', detail };
}

function status(status: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return {
    kind: 'status',
    status,
    headers: { 'X-Echo': CANARY, ...headers },
    body: `<html>${CANARY}</html>`,
  };
}

function body(body: string): Fault {
  return { kind: 'body', body, headers: { 'X-Echo': CANARY } };
}

function errno(errno: number, error = CANARY): Fault {
  return body(JSON.stringify({ errno, error, data: { token: CANARY } }));
}

/** Among several with the same code, the first is used by tests that need one of each. */
const FAILURE_TABLE: readonly (readonly [cause: string, Fault, Outcome])[] = [
  ['errno 2', errno(2), byErrno(2, 'OTA_INVALID_TYPE', 'invalid-type')],
  ['errno 4', errno(4), absent(4, 'OTA_TASK_NOT_FOUND', 'NO_TASK')],
  ['errno 12', errno(12), absent(12, 'OTA_TOKEN_EXPIRED', 'TOKEN_EXPIRED')],
  ['errno 7', errno(7), { ...byErrno(7, 'ONENET_INTERNAL_ERROR', 'internal-error'), ...outage, attempts: 2 }],
  ['errno 26', errno(26, `token ${CANARY} \u001b[31m`), byErrno(26, 'ONENET_UNKNOWN_ERRNO', 'unknown-errno')],
  ['errno 1', errno(1), byErrno(1, 'ONENET_UNKNOWN_ERRNO', 'unknown-errno')],
  ['errno 5116', errno(5116), byErrno(5116, 'ONENET_UNKNOWN_ERRNO', 'unknown-errno')],
  ['errno -1', errno(-1), byErrno(-1, 'ONENET_UNKNOWN_ERRNO', 'unknown-errno')],
  ['HTTP 401', status(401, { 'WWW-Authenticate': CANARY }), unauthorized],
  ['HTTP 403', status(403), unauthorized],
  ['HTTP 429', status(429), rateLimited],
  ['HTTP 429 for no time', status(429, { 'Retry-After': '0' }), { ...rateLimited, attempts: 2 }],
  ['HTTP 429 for an hour', status(429, { 'Retry-After': '3600' }), rateLimited],
  ['HTTP 429 until 2100', status(429, { 'Retry-After': 'Fri, 31 Dec 2100 23:59:59 GMT' }), rateLimited],
  ['a reset connection', { kind: 'reset' }, connectionFailed],
  ['a body that is cut', { kind: 'cut' }, connectionFailed],
  ['HTTP 500', status(500), serverError],
  ['HTTP 503', status(503), serverError],
  ['HTTP 500 that says errno 4', { kind: 'status', status: 500, body: '{"errno":4}' }, serverError],
  ['HTTP 408', status(408), requestTimedOut],
  ['no answer in time', { kind: 'stall' }, timedOut],
  ['a list', body(`["${CANARY}"]`), badResponse('not a JSON object')],
  ['a web page', body(`<html>${CANARY}</html>`), badResponse('not JSON')],
  ['an empty body', body(''), badResponse('not JSON')],
  ['an errno that is text', body(`{"errno":"${CANARY}"}`), badResponse('errno is not an integer')],
  ['errno 0 without data', body(`{"errno":0,"error":"${CANARY}"}`), badResponse('errno 0 without data')],
  [
    'a size that is text',
    body(`{"errno":0,"data":{"target":"1","token":"${CANARY}","size":"${CANARY}"}}`),
    badResponse('size is not an integer from 0 to 2147483647'),
  ],
  ['a megabyte', errno(7, CANARY.repeat(100_000)), tooLarge],
  ['HTTP 404', status(404), badResponse('HTTP status 404')],
  ['HTTP 204', { kind: 'status', status: 204 }, badResponse('HTTP status 204')],
  ['HTTP 302', status(302, { Location: `http://127.0.0.1:9/${CANARY}` }), badResponse('HTTP status 302')],
];

/** Every row of the error table that a call to OneNET can cause. */
export const FAILURES: readonly Failure[] = FAILURE_TABLE.map(([cause, fault, outcome]) => ({
  cause,
  deviceId: cause.replaceAll(/[^\w-]/g, '_'),
  fault,
  ...outcome,
}));

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';

/** Writes the beginning, then the piece repeatedly while the connection is open. */
function pour(beginning: string, piece: string): WireFailure['behave'] {
  return async ({ socket, closed }) => {
    socket.write(beginning);
    const timer = setInterval(() => socket.write(piece), 10);
    await closed;
    clearInterval(timer);
  };
}

function write(bytes: Buffer): WireFailure['behave'] {
  return ({ socket }) => void socket.write(bytes);
}

function end(bytes = ''): WireFailure['behave'] {
  return ({ socket }) => void socket.end(bytes);
}

const WIRE_TABLE: readonly (readonly [cause: string, WireFailure['behave'], Outcome])[] = [
  ['never answers', () => undefined, timedOut],
  ['sends a head without end', pour(`${OK}X-Slow: `, 'x'), timedOut],
  ['sends interim answers without end', pour('', 'HTTP/1.1 103 Early Hints\r\n\r\n'), timedOut],
  ['sends a body drop by drop', pour(`${OK}Content-Length: 5000\r\n\r\n`, ' '), timedOut],
  ['resets the connection', ({ socket }) => void socket.resetAndDestroy(), connectionFailed],
  ['closes the connection', end(), connectionFailed],
  ['closes in the middle of a body', end(`${OK}Content-Length: 500\r\n\r\n{"errno":0`), connectionFailed],
  [
    'closes in the middle of a chunk',
    end(`${OK}Transfer-Encoding: chunked\r\n\r\n80\r\n{"errno":0`),
    connectionFailed,
  ],
  ['sends garbage', end('\u0000\u0001 SSH-2.0-OpenSSH\r\n'), badResponse('not HTTP')],
  ['sends a body of 65 KiB', write(httpAnswer(' '.repeat(65 * 1024))), tooLarge],
  [
    'sends chunks without end',
    pour(`${OK}Transfer-Encoding: chunked\r\n\r\n`, `10000\r\n${' '.repeat(0x10000)}\r\n`),
    tooLarge,
  ],
  [
    'compresses though nobody asked',
    write(httpAnswer(gzipSync(taskAnswer('1.2')), '200 OK', 'Content-Encoding: gzip')),
    badResponse('compressed though not asked to be'),
  ],
  [
    'answers 503 with a body without end',
    pour('HTTP/1.1 503 Down\r\nTransfer-Encoding: chunked\r\n\r\n', `10000\r\n${'<'.repeat(0x10000)}\r\n`),
    serverError,
  ],
];

export const WIRE_FAILURES: readonly WireFailure[] = WIRE_TABLE.map(([cause, behave, outcome]) => ({
  cause,
  behave,
  ...outcome,
}));

/** The first failure of each kind. */
export function oneOfEach<F extends Outcome>(kind: 'code' | 'result', failures: readonly F[]): F[] {
  return failures.filter((failure, index) => index === failures.findIndex((f) => f[kind] === failure[kind]));
}

/** Rows for `it.each`; the title contains the cause as `%s`. */
export function byCause<F extends Failure | WireFailure>(
  failures: readonly F[],
): [cause: string, failure: F][] {
  return failures.map((failure) => [failure.cause, failure]);
}
