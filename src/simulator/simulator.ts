import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createAuthorizationCheck, type Credentials } from './authorization-check.ts';
import { sendPackage } from './download.ts';
import { createDemoFleet, refuse, type Fleet, type Refusal } from './fleet.ts';

export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default `onenet`. */
  readonly seed?: string;
  /** Milliseconds since the epoch, default `Date.now`. */
  readonly now?: () => number;
  /** Milliseconds before a tasking call is answered; default 0. */
  readonly latencyMs?: number | ((call: RecordedCall) => number);
  /**
   * The credentials that the `Authorization` header is checked against. If absent, any non-empty header is accepted.
   */
  readonly credentials?: Credentials;
  /** Default: the demo fleet for the seed. */
  readonly fleet?: Fleet;
  /** Called for each tasking call; a fault that it returns replaces every check and the fleet's answer. */
  readonly fault?: (call: RecordedCall) => Fault | undefined;
  /** Default 1000, like OneNET. */
  readonly requestsPerConnection?: number;
}

export type Fault =
  /** Any HTTP status and body, verbatim. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** 200 with this body, verbatim. */
  | { readonly kind: 'body'; readonly body: string; readonly headers?: Record<string, string> }
  /** The connection is reset after the request has been read. */
  | { readonly kind: 'reset' }
  /** The call is never answered. */
  | { readonly kind: 'stall' }
  /** The connection is closed in the middle of the body. */
  | { readonly kind: 'cut' };

export interface RecordedCall {
  readonly deviceId: string | null;
  readonly type: string | null;
  readonly cdn: string | null;
  readonly method: string;
  /** The raw request target, query included. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The number of the TCP connection that carried the call, from 1. */
  readonly connection: number;
}

export interface Simulator {
  /** Origin, such as `http://127.0.0.1:4567`. */
  readonly url: string;
  /** The tasking calls in order of arrival; the array is live, and beyond 100 000 calls the oldest are dropped. */
  readonly calls: readonly RecordedCall[];
  /** Tasking calls that are waiting for their answer. */
  readonly inFlight: number;
  /** The highest value that `inFlight` has had. */
  readonly mostInFlight: number;
  /** Forgets the calls and restarts `mostInFlight`. */
  resetCalls(): void;
  /** Closes every connection and stops listening. */
  close(): Promise<void>;
}

const MOST_CALLS = 100_000;

interface Reply {
  readonly status: number;
  readonly body: string;
}

/**
 * Starts a simulated OneNET: the OTA tasking call with its authorization, and the download of upgrade packages.
 *
 * @returns The simulator, listening.
 * @throws The error of `listen`, for example if the port is taken.
 */
export async function createSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { host = '127.0.0.1', port = 0, seed = 'onenet', now = Date.now, latencyMs = 0, fault } = options;
  const fleet = options.fleet ?? createDemoFleet({ seed });
  const whyUnauthorized = createAuthorizationCheck(options.credentials);
  const calls: RecordedCall[] = [];
  const connections = new WeakMap<Socket, number>();
  let connectionCount = 0;
  let inFlight = 0;
  let mostInFlight = 0;

  const server = createServer(route);
  server.maxRequestsPerSocket = options.requestsPerConnection ?? 1000;
  server.on('connection', (socket: Socket) => connections.set(socket, ++connectionCount));
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const authority = `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;

  function route(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    const target = request.url ?? '';
    const [path = ''] = target.split('?', 1);
    if (path === '/ota/south/tasking') {
      tasking(request, response, record(request, new URLSearchParams(target.slice(path.length))));
      return;
    }
    const token = /^\/ota\/download\/([^/]+)$/.exec(path)?.[1];
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const bytes = token !== undefined && reads ? fleet.packageOf(token, now()) : undefined;
    if (bytes) sendPackage(request, response, bytes);
    else send(response, refusal(404, token === undefined ? refuse(4, 'no such address') : refuse(4)));
  }

  function record(request: IncomingMessage, query: URLSearchParams): RecordedCall {
    const call: RecordedCall = {
      deviceId: query.get('dev_id'),
      type: query.get('type'),
      cdn: query.get('cdn'),
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      connection: connections.get(request.socket) ?? 0,
    };
    // Dropped by half, because dropping one per call would move the whole array each time.
    if (calls.length >= MOST_CALLS) calls.splice(0, MOST_CALLS / 2);
    calls.push(call);
    return call;
  }

  function tasking(request: IncomingMessage, response: ServerResponse, call: RecordedCall): void {
    const leave = enter(response);
    const injected = fault?.(call);
    const latency = typeof latencyMs === 'function' ? latencyMs(call) : latencyMs;
    if (latency > 0) setTimeout(respond, latency).unref();
    else respond();

    function respond(): void {
      if (response.destroyed || injected?.kind === 'stall') return;
      leave();
      switch (injected?.kind) {
        case undefined:
          return send(response, answer(call));
        case 'status':
          return send(response, { status: injected.status, body: injected.body ?? '' }, injected.headers);
        case 'body':
          return send(response, { status: 200, body: injected.body }, injected.headers);
        case 'reset':
          request.socket.resetAndDestroy();
          return;
        case 'cut': {
          const { status, body } = answer(call);
          head(response, status);
          response.write(body.slice(0, body.length / 2), () => request.socket.destroy());
        }
      }
    }
  }

  /** Counts a call as in flight until the returned function is called or the client disconnects. */
  function enter(response: ServerResponse): () => void {
    let waiting = true;
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    const leave = (): void => {
      if (waiting) inFlight--;
      waiting = false;
    };
    // An answered call is counted out before its answer is sent, because the next call may arrive before this event.
    response.once('close', leave);
    return leave;
  }

  function answer({ method, headers, deviceId, type, cdn }: RecordedCall): Reply {
    if (method !== 'GET') return refusal(405, refuse(1, 'method is not GET'));
    const reason = whyUnauthorized(headers.authorization, now());
    if (reason !== undefined) return refusal(401, refuse(1, reason));
    if (!/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '')) {
      return refusal(415, refuse(1, 'content type is not application/json'));
    }
    if (type !== '1' && type !== '2') return refusal(200, refuse(2));
    if (!deviceId) return refusal(200, refuse(4));

    const found = fleet.answer(deviceId, type === '1' ? 1 : 2, now());
    if (!('task' in found)) return refusal(200, found);
    const { target, token, size, signal, power, retry, interval, md5 } = found.task;
    // Fields in the order of OneNET's documentation; an undefined field is omitted.
    const ipPort = cdn === 'true' ? (found.task.ipPort ?? authority) : undefined;
    const data = { target, token, size, signal, power, retry, interval, md5, ipPort, type: found.task.type };
    return { status: 200, body: JSON.stringify({ errno: 0, error: 'succ', data }) };
  }

  return {
    url: `http://${authority}`,
    calls,
    get inFlight() {
      return inFlight;
    },
    get mostInFlight() {
      return mostInFlight;
    },
    resetCalls() {
      calls.length = 0;
      mostInFlight = inFlight;
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function refusal(status: number, { errno, error }: Refusal): Reply {
  return { status, body: JSON.stringify({ errno, error }) };
}

function send(response: ServerResponse, { status, body }: Reply, headers?: Record<string, string>): void {
  head(response, status, headers);
  response.end(body);
}

/** Sets the head. If it is sent before the length of the body is known, the body is chunked, as OneNET's bodies are. */
function head(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.setHeader('Content-Type', 'application/json;charset=UTF-8');
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(status);
}
