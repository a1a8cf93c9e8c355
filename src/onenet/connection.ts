import { buildConnector, Client, type Dispatcher } from 'undici';

import { badResponse, OneNetError } from '../onenet-error.ts';
import { skipInterimResponses } from './interim-responses.ts';
import { toOneNetError } from './transport-error.ts';

/** More than a hundred times the documented answer. */
const MAX_BODY_BYTES = 64 * 1024;
/** How long a connection may be idle; OneNET's own limit is unknown, and an earlier close by it costs a retry. */
const KEEP_ALIVE_MS = 30_000;

export interface HttpRequest {
  /** Path and query, already encoded. */
  readonly path: string;
  readonly authorization: string;
}

export interface HttpResponse {
  readonly status: number;
  /** The whole body of a 200; empty for any other status, which is judged without it. */
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
}

export interface Connection {
  /** Begun since the connection was made, or made anew because the upstream had closed it. */
  readonly requestCount: number;
  /**
   * Sends a GET; the connection must have no other under way.
   *
   * @param onEnd Called once; the connection may be used again only where `reusable`.
   */
  get(request: HttpRequest, onEnd: (result: HttpResponse | Error, reusable: boolean) => void): void;
  /** Ends the request that is under way with this error, at once. */
  readonly abort: (error: Error) => void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Milliseconds for one whole request: connecting, sending, and the response with its body. */
  readonly timeoutMs: number;
}

/**
 * A connection to OneNET for one request at a time, which judges transport, framing and size, and knows nothing of what a
 * body means. Handler, timer and functions serve all requests of the connection: made for each, they were a tenth of the
 * cost of a call.
 */
export function createConnection({ origin, timeoutMs }: ConnectionOptions): Connection {
  const connect = buildConnector({ timeout: timeoutMs });
  let expectHead = (): void => undefined;
  const client = new Client(origin, {
    pipelining: 1,
    // These two never fire while bytes drip in; the deadline below does.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(target, callback) {
      connect(target, (...result) => {
        const [, socket] = result;
        if (socket) expectHead = skipInterimResponses(socket);
        callback(...result);
      });
    },
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  let requestCount = 0;
  client.on('connect', () => {
    // The request that the connection was made for is waiting already.
    requestCount = 1;
  });
  let onEnd: ((result: HttpResponse | Error, reusable: boolean) => void) | undefined;
  let status = 0;
  let retryAfter: string | undefined;
  let closing = false;
  let hasLength = false;
  let bytes = 0;
  let chunks: Buffer[] = [];

  // Keeps running when a request ends and restarts with the next; without a request it means nothing. If this process was
  // late, the response may be waiting to be read, so an immediate, which comes after that, decides.
  const deadline = setTimeout(() => {
    const overdue = onEnd;
    setImmediate(() => {
      if (overdue === onEnd) abort(explain(new OneNetError('timeout')));
    });
  }, timeoutMs);

  /** A request ends once, whatever else still comes. */
  function end(result: HttpResponse | Error, reusable: boolean): void {
    const callback = onEnd;
    onEnd = undefined;
    callback?.(result, reusable);
  }

  /** A status that is judged without its body stands, whatever became of the body. */
  function abort(error: Error): void {
    end(status !== 0 && status !== 200 ? { status, retryAfter, body: NO_BODY } : error, false);
  }

  /** A body that is complete before its announced length was not cut off: the length is wrong. */
  function explain(error: OneNetError): OneNetError {
    return hasLength && isJson(Buffer.concat(chunks)) ? badResponse('length of the body') : error;
  }

  const handler: Dispatcher.DispatchHandler = {
    // undici demands it. Nothing is aborted through it: a request that is given up costs its connection.
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
      // A response that must not have a body may have one all the same, which would pass for the next response.
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
