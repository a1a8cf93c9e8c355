import { buildConnector, Client, type Dispatcher } from 'undici';

import { OneNetUnreachableError, OneNetUnreadableError } from './errors.ts';
import { skipInterimAnswers } from './interim-answers.ts';

/** More than a hundred times the documented answer. */
const MAX_BODY_BYTES = 64 * 1024;
/** How long a connection may be idle; OneNET's own limit is unknown, and an earlier close by it costs a retry. */
const KEEP_ALIVE_MS = 30_000;

/** How long a connection rests after its first answer: an upstream that sends too much mostly does so each time. */
const FIRST_REST_MS = 10;

export interface HttpAnswer {
  readonly status: number;
  /** The whole body of a 200; empty for any other status, which is judged without it. */
  readonly body: Buffer;
  readonly retryAfter: string | undefined;
}

/** What ends each exchange that is under way with an error, at once. */
export type BreakOffs = Set<(error: Error) => void>;

export interface ExchangeOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Milliseconds for one whole exchange: connecting, request, answer with its body. */
  readonly timeoutMs: number;
}

export interface Exchange {
  /** How many are under way. */
  readonly inFlight: number;
  /** Milliseconds after which one ends, if this process notices in time. */
  readonly timeoutMs: number;
  /**
   * Sends one GET and collects the answer.
   *
   * @param path Path and query, already encoded.
   * @param fresh Over a connection that was never used: where one that was kept turned out lost, others may be too.
   * @param breakOffs Where the exchange can be broken off as long as it is under way.
   * @param ended Called once: with the answer; with a OneNetUnreachableError when there is no whole answer in time; with a
   * OneNetUnreadableError when what came is no HTTP answer, malformed, too large or compressed; with what broke it off.
   * @param freed Called once, then or a moment later: another exchange may take this one's place.
   */
  get(
    path: string,
    authorization: string,
    fresh: boolean,
    breakOffs: BreakOffs,
    ended: (answer: HttpAnswer | Error) => void,
    freed: () => void,
  ): void;
  /** Drops every connection, also those in use. */
  close(): Promise<void>;
}

/**
 * One HTTP exchange with OneNET: transport, deadline, framing and size; it knows nothing of what the body means.
 *
 * Each exchange has a connection to itself, so an answer can belong to no other call; there are as many connections as
 * ever were exchanges at once. Only after a flawless 200 is a connection used again, and not before it has rested:
 * what comes meanwhile was not asked for, and ends the connection.
 */
export function createExchange({ origin, timeoutMs }: ExchangeOptions): Exchange {
  const connections = new Set<Connection>();
  const idle: Connection[] = [];
  const restShortly = createRest();
  let inFlight = 0;

  function connect(): Connection {
    const connection = createConnection(origin, timeoutMs);
    connections.add(connection);
    return connection;
  }

  async function drop(connection: Connection): Promise<void> {
    connections.delete(connection);
    await connection.close();
  }

  return {
    get inFlight() {
      return inFlight;
    },
    timeoutMs,
    get(path, authorization, fresh, breakOffs, ended, freed) {
      inFlight++;
      const kept = idle.pop();
      if (fresh && kept !== undefined) void drop(kept);
      const connection = fresh ? connect() : (kept ?? connect());
      connection.get(path, authorization, breakOffs, (answer, reusable) => {
        inFlight--;
        ended(answer);
        if (reusable) {
          const rested = (): void => {
            idle.push(connection);
            freed();
          };
          if (connection.exchanges === 1) setTimeout(rested, FIRST_REST_MS);
          else restShortly(rested);
        } else {
          void drop(connection);
          freed();
        }
      });
    },
    async close() {
      await Promise.all([...connections].map(drop));
    },
  };
}

/** Calls back once the event loop has polled for what came meanwhile; those who begin in one turn rest together. */
function createRest(): (rested: () => void) => void {
  let resting: (() => void)[] = [];
  return (rested) => {
    if (resting.push(rested) > 1) return;
    // The first comes still before the next poll, the second right after it.
    setImmediate(() => {
      const together = resting;
      resting = [];
      setImmediate(() => {
        for (const each of together) each();
      });
    });
  };
}

/** @param reusable Whether the exchange was flawless and the connection stays open. */
type Ended = (answer: HttpAnswer | Error, reusable: boolean) => void;

interface Connection {
  /** Begun since it was made, or made anew because the upstream had closed it. */
  readonly exchanges: number;
  get(path: string, authorization: string, breakOffs: BreakOffs, ended: Ended): void;
  close(): Promise<void>;
}

/**
 * One connection, for one exchange at a time. Handler, timer and functions are made once for all of its exchanges: made
 * for each, they were a tenth of the cost of a call.
 */
function createConnection(origin: string, timeoutMs: number): Connection {
  const connect = buildConnector({ timeout: timeoutMs });
  let expectHead = (): void => undefined;
  const client = new Client(origin, {
    pipelining: 1,
    // These two never fire on a slow drip; the deadline below does.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(target, callback) {
      connect(target, (...result) => {
        const [, socket] = result;
        if (socket) expectHead = skipInterimAnswers(socket);
        callback(...result);
      });
    },
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  let exchanges = 0;
  client.on('connect', () => {
    // The one that it was made for waits already.
    exchanges = 1;
  });
  let underWay: { readonly breakOffs: BreakOffs; readonly ended: Ended } | undefined;
  let status = 0;
  let retryAfter: string | undefined;
  let closing = false;
  let hasLength = false;
  let bytes = 0;
  let chunks: Buffer[] = [];

  // Runs on when an exchange ends and is set back when the next begins; without an exchange it means nothing. Where this
  // process was late, the answer may wait to be read: an immediate comes after that.
  const deadline = setTimeout(() => {
    const overdue = underWay;
    setImmediate(() => {
      if (overdue === underWay) fail(explain(new OneNetUnreachableError('timeout')));
    });
  }, timeoutMs);

  /** Whatever comes in which order, an exchange ends once. */
  function end(answer: HttpAnswer | Error, reusable: boolean): void {
    if (underWay === undefined) return;
    const { breakOffs, ended } = underWay;
    underWay = undefined;
    breakOffs.delete(fail);
    ended(answer, reusable);
  }

  /** A status that needs no body to be judged stands, whatever became of the body. */
  function fail(error: Error): void {
    end(status !== 0 && status !== 200 ? { status, retryAfter, body: NO_BODY } : error, false);
  }

  /** A body that is whole without the rest that its length announces was not cut: its length is wrong. */
  function explain(error: Error): Error {
    return hasLength && isJson(Buffer.concat(chunks))
      ? new OneNetUnreadableError('length of the body')
      : error;
  }

  const handler: Dispatcher.DispatchHandler = {
    // undici demands it; whoever gives up drops the whole connection.
    onRequestStart: () => undefined,
    onResponseStart(_, statusCode, headers) {
      if (statusCode < 200) return;
      status = statusCode;
      retryAfter = header(headers['retry-after']);
      const encoding = header(headers['content-encoding']);
      const coding = headers['transfer-encoding'];
      closing = headers['connection'] === 'close';
      hasLength = headers['content-length'] !== undefined;
      if (status !== 200) return;
      if (encoding !== undefined && encoding !== 'identity') {
        fail(new OneNetUnreadableError('compressed though not asked to be'));
      } else if (coding !== undefined && coding !== 'chunked' && !CHUNKED.test(String(coding))) {
        fail(new OneNetUnreadableError('transfer coding'));
      }
    },
    onResponseData(_, chunk) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) fail(new OneNetUnreadableError(`body larger than ${MAX_BODY_BYTES} bytes`));
      else if (status === 200) chunks.push(chunk);
    },
    onResponseEnd() {
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      // What should have no body may have one all the same, which would pass for the answer to the next call.
      end({ status, retryAfter, body }, status === 200 && !closing);
    },
    onResponseError(_, error) {
      fail(explain(toOneNetError(error, status !== 0)));
    },
  };

  return {
    get exchanges() {
      return exchanges;
    },
    get(path, authorization, breakOffs, ended) {
      exchanges++;
      status = 0;
      retryAfter = undefined;
      hasLength = false;
      bytes = 0;
      chunks = [];
      underWay = { breakOffs, ended };
      breakOffs.add(fail);
      deadline.refresh();
      expectHead();
      const headers = { 'content-type': 'application/json', authorization };
      client.dispatch({ method: 'GET', path, headers }, handler);
    },
    async close() {
      clearTimeout(deadline);
      await client.destroy();
    },
  };
}

const NO_BODY = Buffer.alloc(0);
const CHUNKED = /^chunked\s*$/i;

function header(value: string | string[] | undefined): string | undefined {
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

const CERTIFICATE_CODES =
  /^(?:CERT_|CRL_|ERR_TLS_CERT|ERROR_IN_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|INVALID_|PATH_LENGTH)/;

/**
 * The transport's messages name hosts and quote bytes: they decide, but go no further.
 *
 * @param headRead Whether the body had begun, or could have.
 */
function toOneNetError(error: Error, headRead: boolean): Error {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'HTTPParserError' && !error.message.includes('Invalid EOF')) {
    return new OneNetUnreadableError('not HTTP');
  }
  // Within a head it says that lengths contradict each other; later, that the connection was closed before the length.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && !headRead) {
    return new OneNetUnreadableError('length of the body');
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return new OneNetUnreadableError('headers too large');
  // An answer with status 101 has no code of its own.
  if (error.message === 'bad upgrade') return new OneNetUnreadableError('another protocol');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return new OneNetUnreachableError('timeout');
  return new OneNetUnreachableError(CERTIFICATE_CODES.test(code) ? 'certificate' : 'connection');
}
