import { type buildConnector, Client, type Dispatcher } from 'undici';

import { badResponse, OneNetError } from '../onenet-error.ts';
import { skipInterimResponses } from './interim-responses.ts';
import { toOneNetError } from './transport-error.ts';

/** More than a hundred times the size of the documented answer. */
const MAX_BODY_BYTES = 64 * 1024;
/** How long a connection may be idle. OneNET's own limit is unknown; if it is shorter, the cost is a retry. */
const KEEP_ALIVE_MS = 30_000;

export interface HttpRequest {
  /** Path and query, already percent-encoded. */
  readonly path: string;
  readonly authorization: string;
}

export interface HttpResponse {
  readonly status: number;
  /** The whole body of a 200. Empty for any other status, which is judged without its body. */
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
}

export interface Connection {
  /** Requests sent since the connection was opened, or reopened after the upstream had closed it. */
  readonly requestCount: number;
  /**
   * Sends a GET. No other request may be in progress on the connection.
   *
   * @param onEnd Called once. The connection may be used again only if `reusable`.
   */
  get(request: HttpRequest, onEnd: (result: HttpResponse | Error, reusable: boolean) => void): void;
  /** Ends the current request with this error, immediately. */
  readonly abort: (error: Error) => void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** Opens sockets for all connections, so that a new one resumes the TLS session of another. */
  readonly connector: buildConnector.connector;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Milliseconds for one whole request: connecting, sending and receiving the response with its body. */
  readonly timeoutMs: number;
}

/**
 * A connection to OneNET for one request at a time. It judges transport, framing and size, but not what a body means.
 * All its requests share one handler, one timer and one set of functions: creating them for each request was a tenth of
 * a call's cost.
 */
export function createConnection({ connector, origin, timeoutMs }: ConnectionOptions): Connection {
  let expectHead = (): void => undefined;
  const client = new Client(origin, {
    pipelining: 1,
    // undici's timeouts do not fire while bytes trickle in; the deadline below does.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(target, callback) {
      connector(target, (...result) => {
        const [, socket] = result;
        if (socket) expectHead = skipInterimResponses(socket);
        callback(...result);
      });
    },
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  let requestCount = 0;
  client.on('connect', () => {
    // The request that caused the connection has been counted already.
    requestCount = 1;
  });
  let onEnd: ((result: HttpResponse | Error, reusable: boolean) => void) | undefined;
  let status = 0;
  let retryAfter: string | undefined;
  let closing = false;
  let hasLength = false;
  let bytes = 0;
  let chunks: Buffer[] = [];

  // One timer serves all requests: each request restarts it, and it has no effect between requests. If this process was
  // stalled, the response may be waiting to be read, so the decision is left to an immediate, which runs after pending
  // input has been read.
  const deadline = setTimeout(() => {
    const overdue = onEnd;
    setImmediate(() => {
      if (overdue === onEnd) abort(explain(new OneNetError('timeout')));
    });
  }, timeoutMs);

  /** Ends the request once; whatever comes later is ignored. */
  function end(result: HttpResponse | Error, reusable: boolean): void {
    const callback = onEnd;
    onEnd = undefined;
    callback?.(result, reusable);
  }

  /** Ends the request with an error, unless its status is one that is judged without the body: that status stands. */
  function abort(error: Error): void {
    end(status !== 0 && status !== 200 ? { status, retryAfter, body: NO_BODY } : error, false);
  }

  /** If the body received so far is complete JSON, it was not cut off: the announced length was wrong. */
  function explain(error: OneNetError): OneNetError {
    return hasLength && isJson(Buffer.concat(chunks)) ? badResponse('length of the body') : error;
  }

  const handler: Dispatcher.DispatchHandler = {
    // Required by undici. Nothing is aborted through its controller, because giving up a request drops its connection.
    onRequestStart: () => undefined,
    onResponseStart(_, statusCode, headers) {
      if (statusCode < 200) return;
      status = statusCode;
      retryAfter = firstOf(headers['retry-after']);
      const encoding = firstOf(headers['content-encoding']);
      const coding = headers['transfer-encoding'];
      closing = headers['connection'] === 'close';
      hasLength = headers['content-length'] !== undefined;
      if (status !== 200) return;
      if (encoding !== undefined && encoding !== 'identity') {
        abort(badResponse('compressed though not asked to be'));
      } else if (coding !== undefined && coding !== 'chunked' && !CHUNKED.test(String(coding))) {
        abort(badResponse('transfer coding'));
      }
    },
    onResponseData(_, chunk) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) abort(badResponse(`body larger than ${MAX_BODY_BYTES} bytes`));
      else if (status === 200) chunks.push(chunk);
    },
    onResponseEnd() {
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      // Only a 200 leaves the connection reusable: after a status without a body, such as 204, a body sent in error
      // would be read as the next response.
      end({ status, retryAfter, body }, status === 200 && !closing);
    },
    onResponseError(_, error) {
      abort(explain(toOneNetError(error, status !== 0)));
    },
  };

  return {
    get requestCount() {
      return requestCount;
    },
    get({ path, authorization }, callback) {
      requestCount++;
      status = 0;
      retryAfter = undefined;
      hasLength = false;
      bytes = 0;
      chunks = [];
      onEnd = callback;
      deadline.refresh();
      expectHead();
      const headers = { 'content-type': 'application/json', authorization };
      client.dispatch({ method: 'GET', path, headers }, handler);
    },
    abort,
    async close() {
      clearTimeout(deadline);
      await client.destroy();
    },
  };
}

const NO_BODY = Buffer.alloc(0);
const CHUNKED = /^chunked\s*$/i;

function firstOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}
