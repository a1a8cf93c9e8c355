import { Client, type Dispatcher } from 'undici';

import type { Operations } from './operation.ts';

export interface LoadOptions {
  readonly url: string;
  readonly operations: Operations;
  /** Of every right answer, where it is known: all devices have the same task. */
  readonly answerBytes?: number;
  /** Requests under way at any time, each on a connection of its own. */
  readonly inFlight: number;
  /** Asked before each request; those under way are still waited for. */
  readonly enough: () => boolean;
}

export interface LoadResult {
  readonly requests: number;
  readonly entities: number;
  readonly wallMs: number;
  /** Milliseconds of each request. */
  readonly latencies: readonly number[];
}

/** Sends one request after the other on each connection, until it is enough. */
export async function load({
  url,
  operations,
  answerBytes,
  inFlight,
  enough,
}: LoadOptions): Promise<LoadResult> {
  const { origin, pathname } = new URL(url);
  const clients = Array.from({ length: inFlight }, () => createClient(origin));
  const latencies: number[] = [];
  let turn = 0;
  const startedMs = performance.now();
  await Promise.all(
    clients.map(async (client) => {
      do {
        const body = operations.bodies[turn++ % operations.bodies.length] as Buffer;
        const sentMs = performance.now();
        const bytes = await post(client, pathname, body);
        latencies.push(performance.now() - sentMs);
        // With errors in it, it would be a measurement of something else.
        if (answerBytes !== undefined && bytes !== answerBytes) {
          throw new Error(`${bytes} bytes answered instead of ${answerBytes}`);
        }
      } while (!enough());
    }),
  );
  const wallMs = performance.now() - startedMs;
  await Promise.all(clients.map((client) => client.close()));
  return { requests: latencies.length, entities: latencies.length * operations.size, wallMs, latencies };
}

export function createClient(origin: string): Client {
  return new Client(origin, { headersTimeout: 0, bodyTimeout: 0 });
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json' };

/** Resolves to the bytes of the answer, which are not kept. */
export function post(client: Client, path: string, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart(_, status) {
        if (status !== 200) reject(new Error(`HTTP status ${status}`));
      },
      onResponseData(_, chunk) {
        bytes += chunk.length;
      },
      onResponseEnd: () => resolve(bytes),
      onResponseError: (_, error) => reject(error),
    };
    client.dispatch({ method: 'POST', path, headers: HEADERS, body }, handler);
  });
}
