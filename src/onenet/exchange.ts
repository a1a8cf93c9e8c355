import { Client, type Dispatcher } from 'undici';

import { OneNetUnreachableError, OneNetUnreadableError } from './errors.ts';

/** More than a hundred times the documented answer. */
const MAX_BODY_BYTES = 64 * 1024;
/** How long a connection may be idle; OneNET's own limit is unknown, and an earlier close by it costs a retry. */
const KEEP_ALIVE_MS = 30_000;

export interface HttpAnswer {
  readonly status: number;
  /** The whole body of a 200; empty for any other status, which is judged without it. */
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
  /** Whether the whole answer came, to its last byte. */
  readonly complete: boolean;
}

/** What has to be done, should the caller leave or its deadline pass. */
export type Cancellations = Set<(error: Error) => void>;

export interface ExchangeOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Milliseconds for one whole exchange: connecting, request, answer with its body. */
  readonly timeoutMs: number;
}

export interface Exchange {
  /**
   * Sends one GET and collects the answer.
   *
   * @param path Path and query, already encoded.
   * @param fresh Over a connection that was never used: where one that was kept turned out lost, others may be too.
   * @throws OneNetUnreachableError when there is no whole answer in time.
   * @throws OneNetUnreadableError when what came is no HTTP answer, too large or compressed.
   */
  get(path: string, authorization: string, cancellations: Cancellations, fresh: boolean): Promise<HttpAnswer>;
  /** Drops every connection, also those in use. */
  close(): Promise<void>;
}

/**
 * One HTTP exchange with OneNET: transport, deadline and size; it knows nothing of what the body means.
 *
 * Each exchange has a connection to itself, so an answer can belong to no other call; there are as many connections as
 * ever were exchanges at once. Only after a flawless exchange is a connection used again.
 */
export function createExchange({ origin, timeoutMs }: ExchangeOptions): Exchange {
  const clients = new Set<Client>();
  const idle: Client[] = [];

  function connect(): Client {
    const client = new Client(origin, {
      pipelining: 1,
      // These two never fire on a slow drip; the deadline below does.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: timeoutMs },
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    clients.add(client);
    return client;
  }

  async function drop(client: Client): Promise<void> {
    clients.delete(client);
    await client.destroy();
  }

  return {
    async get(path, authorization, cancellations, fresh) {
      const kept = idle.pop();
      if (fresh && kept !== undefined) void drop(kept);
      const client = fresh ? connect() : (kept ?? connect());
      try {
        const answer = await new Promise<HttpAnswer>((resolve, reject) => {
          const collector = createCollector(timeoutMs, cancellations, resolve, reject);
          const headers = { 'content-type': 'application/json', authorization };
          client.dispatch({ method: 'GET', path, headers }, collector);
        });
        if (answer.complete) idle.push(client);
        else void drop(client);
        return answer;
      } catch (error) {
        void drop(client);
        throw error;
      }
    },
    async close() {
      await Promise.all([...clients].map(drop));
    },
  };
}

/** Settles exactly once, whatever comes in which order. */
function createCollector(
  timeoutMs: number,
  cancellations: Cancellations,
  resolve: (answer: HttpAnswer) => void,
  reject: (error: Error) => void,
): Dispatcher.DispatchHandler {
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

  /** A status that needs no body to be judged stands, whatever became of the body. */
  function fail(error: Error): void {
    if (!settle()) return;
    if (status !== 0 && status !== 200) resolve({ status, retryAfter, body: NO_BODY, complete: false });
    else reject(error);
  }

  return {
    // undici demands it; whoever gives up drops the whole connection.
    onRequestStart: () => undefined,
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
    onResponseEnd() {
      if (!settle()) return;
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      resolve({ status, retryAfter, body, complete: true });
    },
    onResponseError(_, error) {
      fail(toOneNetError(error));
    },
  };
}

const NO_BODY = Buffer.alloc(0);

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

const CERTIFICATE_CODES =
  /^(?:CERT_|CRL_|ERR_TLS_CERT|ERROR_IN_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|INVALID_|PATH_LENGTH)/;

/** The transport's messages name hosts and quote bytes: they decide, but go no further. */
function toOneNetError(error: Error): Error {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'HTTPParserError' && !error.message.includes('Invalid EOF')) {
    return new OneNetUnreadableError('not HTTP');
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return new OneNetUnreadableError('headers too large');
  // An answer with status 101 has no code of its own.
  if (error.message === 'bad upgrade') return new OneNetUnreadableError('another protocol');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return new OneNetUnreachableError('timeout');
  return new OneNetUnreachableError(CERTIFICATE_CODES.test(code) ? 'certificate' : 'connection');
}
