import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

/** A TCP connection as the upstream sees it. */
export interface RawConnection {
  /** The number of the connection, from 1 in the order of acceptance. */
  readonly ordinal: number;
  readonly socket: Socket;
  /** All bytes received so far. */
  readonly received: string;
  /** Resolves when the connection is closed, by either side. */
  readonly closed: Promise<void>;
  /** Resolves to the next request's head, including its blank line, and consumes it. */
  request(): Promise<string>;
}

export interface RawUpstream {
  /** For example `http://127.0.0.1:4567`. */
  readonly origin: string;
  /** All connections that were ever accepted. */
  readonly connections: readonly RawConnection[];
  /** Resolves when the connection with this number has been accepted. */
  connection(ordinal: number): Promise<RawConnection>;
}

/**
 * A server that a test controls byte by byte; it is closed after the test.
 *
 * @param behave Runs once for every connection.
 */
export async function startRawUpstream(
  behave: (connection: RawConnection) => Promise<void> | void = () => undefined,
): Promise<RawUpstream> {
  const connections: RawConnection[] = [];
  const waiting = new Map<number, (connection: RawConnection) => void>();

  const server = createServer((socket) => {
    const connection = watch(socket, connections.length + 1);
    connections.push(connection);
    waiting.get(connection.ordinal)?.(connection);
    void behave(connection);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const { socket } of connections) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });

  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    connection: (ordinal) =>
      new Promise((resolve) => {
        const accepted = connections[ordinal - 1];
        if (accepted === undefined) waiting.set(ordinal, resolve);
        else resolve(accepted);
      }),
  };
}

function watch(socket: Socket, ordinal: number): RawConnection {
  let received = '';
  let taken = 0;
  let wake: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // The client may disconnect at any moment, and later writes then fail.
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    wake();
  });

  return {
    ordinal,
    socket,
    get received() {
      return received;
    },
    closed,
    request: () =>
      new Promise((resolve) => {
        wake = () => {
          const end = received.indexOf('\r\n\r\n', taken);
          if (end < 0) return;
          const head = received.slice(taken, end + 4);
          taken = end + 4;
          wake = () => undefined;
          resolve(head);
        };
        wake();
      }),
  };
}

/** A whole HTTP response with its length. */
export function httpAnswer(body: string | Buffer, status = '200 OK', ...headers: readonly string[]): Buffer {
  const bytes = Buffer.from(body);
  const head = [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${bytes.length}`];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** OneNET's answer with a task that is identified by `target`. */
export function taskAnswer(target: string): string {
  const data = {
    target,
    token: 'ota_5hc95SFeo5xJEnaNrste',
    size: 123,
    signal: 12,
    power: 90,
    retry: 10,
    interval: 90,
    md5: 'dfkdajkfd',
    type: 1,
  };
  return JSON.stringify({ errno: 0, error: 'succ', data });
}
