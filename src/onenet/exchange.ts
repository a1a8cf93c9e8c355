import { type Dispatcher, Pool } from 'undici';

import { OneNetUnreachableError, OneNetUnreadableError } from './errors.ts';

/** More than a hundred times the documented answer. */
const MAX_BODY_BYTES = 64 * 1024;

export interface HttpAnswer {
  readonly status: number;
  /** The whole body of a 200; empty for any other status, which is judged without it. */
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
}

/** What has to be done, should the caller leave or its deadline pass. */
export type Cancellations = Set<(error: Error) => void>;

export interface ExchangeOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Most exchanges at once, which the callers keep to. */
  readonly connections: number;
  /** Milliseconds for one whole exchange: connecting, request, answer with its body. */
  readonly timeoutMs: number;
}

export interface Exchange {
  /**
   * Sends one GET and collects the answer.
   *
   * @param path Path and query, already encoded.
   * @throws OneNetUnreachableError when there is no whole answer in time.
   * @throws OneNetUnreadableError when what came is no HTTP answer, too large or compressed.
   */
  get(path: string, authorization: string, cancellations: Cancellations): Promise<HttpAnswer>;
  close(): Promise<void>;
}

/** One HTTP exchange with OneNET: transport, deadline and size; it knows nothing of what the body means. */
export function createExchange({ origin, connections, timeoutMs }: ExchangeOptions): Exchange {
  const pool = new Pool(origin, {
    // The callers keep to `connections`; the rest is for connections still being made for calls that were given up.
    connections: 2 * connections,
    // One call a connection at a time: an answer can then belong to no other call.
    pipelining: 1,
    // These two never fire on a slow drip; the deadline below does.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: timeoutMs },
    keepAliveTimeout: 30_000,
  });
  return {
    get: (path, authorization, cancellations) =>
      new Promise((resolve, reject) => {
        const collector = createCollector(timeoutMs, cancellations, resolve, reject);
        const headers = { 'content-type': 'application/json', authorization };
        pool.dispatch({ method: 'GET', path, headers }, collector);
      }),
    close: () => pool.close(),
  };
}

/** Settles exactly once, whatever comes in which order. */
function createCollector(
  timeoutMs: number,
  cancellations: Cancellations,
  resolve: (answer: HttpAnswer) => void,
  reject: (error: Error) => void,
): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined;
  let settled = false;
  let status = 0;
  let retryAfter: string | undefined;
  let bytes = 0;
  const chunks: Buffer[] = [];

  const deadline = setTimeout(() => {
    fail(new OneNetUnreachableError('timeout'));
  }, timeoutMs);
  cancellations.add(fail);

  function settle(): boolean {
    if (settled) return false;
    settled = true;
    clearTimeout(deadline);
    cancellations.delete(fail);
    return true;
  }

  function finish(): void {
    if (!settle()) return;
    resolve({
      status,
      retryAfter,
      body: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks),
    });
  }

  /** Drops the connection too: whatever else comes on it belongs to nobody. */
  function fail(error: Error): void {
    if (!settle()) return;
    if (status >= 200 && status !== 200) resolve({ status, retryAfter, body: Buffer.alloc(0) });
    else reject(error);
    controller?.abort(error);
  }

  return {
    onRequestStart(started) {
      controller = started;
      // undici heeds no abort before this moment, so one that came earlier is made good here.
      if (settled) started.abort(new OneNetUnreachableError('canceled'));
    },
    onResponseStart(_, statusCode, headers) {
      if (statusCode < 200) return;
      status = statusCode;
      retryAfter = header(headers['retry-after']);
      const encoding = header(headers['content-encoding']);
      if (status === 200 && encoding !== undefined && encoding !== 'identity') {
        fail(new OneNetUnreadableError('compressed though not asked to be'));
      }
    },
    onResponseData(_, chunk) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) fail(new OneNetUnreadableError(`body larger than ${MAX_BODY_BYTES} bytes`));
      else if (status === 200) chunks.push(chunk);
    },
    onResponseEnd: finish,
    onResponseError(_, error) {
      fail(toOneNetError(error));
    },
  };
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

const CERTIFICATE_CODES =
  /^(?:CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA)/;

/** The transport's messages name hosts and quote bytes: they decide, but go no further. */
function toOneNetError(error: Error): Error {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return new OneNetUnreadableError('not HTTP');
  }
  // An answer with status 101 has no code of its own.
  if (error.message === 'bad upgrade') return new OneNetUnreadableError('another protocol');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return new OneNetUnreachableError('timeout');
  return new OneNetUnreachableError(CERTIFICATE_CODES.test(code) ? 'certificate' : 'connection');
}
