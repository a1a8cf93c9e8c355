import { setTimeout as delay } from 'node:timers/promises';

import { Client, Pool } from 'undici';

import { ourEnvironment, type RunningServer, spawnServer } from '../bench/processes.ts';
import { createUniformFleet } from '../src/simulator/fleet.ts';
import {
  createSimulator,
  type Fault,
  type RecordedCall,
  type Simulator,
} from '../src/simulator/simulator.ts';
import type { Request } from './render.ts';

/** What one request cost, and how it was answered. */
export interface Measurement {
  readonly status: number;
  readonly code: string;
  /** Of all threads of the service. */
  readonly cpuMs: number;
  readonly answerBytes: number;
  /** Calls to OneNET. */
  readonly calls: number;
}

interface Crowd {
  readonly answered: number;
  readonly refused: number;
  readonly cut: number;
  readonly probeMs: number;
}

export interface Target {
  readonly service: RunningServer;
  /** Sends a request and waits for the whole answer. */
  measure(request: Pick<Request, 'headers' | 'body'>): Promise<Measurement>;
  /**
   * Sends a request over many connections at once. The service may refuse some, or cut off readers that are too slow for
   * so many.
   *
   * @returns How many were answered, were refused with 503 and were cut off, and the longest that a probe waited meanwhile.
   */
  crowd(request: Pick<Request, 'headers' | 'body'>, count: number): Promise<Crowd>;
  /** Lines of the log that tell of a fault of the program. */
  readonly faults: readonly string[];
  stop(): Promise<void>;
}

const SECRET = 'the-secret-of-the-router';
const ERROR_LEVEL = 50;
const SHED = 503;
const SHED_PAUSE_MS = 500;
const MOST_TRIES = 60;

/** A task that is as long as one may be, of characters that JSON writes as six. */
const FAT = JSON.stringify({
  errno: 0,
  data: {
    target: '\u0001'.repeat(1024),
    token: '\u4e00'.repeat(1024),
    size: 1,
    md5: '"'.repeat(1024),
    ipPort: '\u2028'.repeat(1024),
    type: 1,
  },
});

/** A device's id tells what OneNET says of it; only what does not open the circuit. */
function faultByName({ deviceId }: RecordedCall): Fault | undefined {
  const [kind, errno] = (deviceId ?? '').split('-');
  if (kind === 'errno') return { kind: 'body', body: `{"errno":${errno ?? ''}}` };
  if (kind === 'fat') return { kind: 'body', body: FAT };
  return kind === 'garbage' ? { kind: 'body', body: '<html>' } : undefined;
}

/**
 * Starts the built service as whoever holds the secret meets it, with the sandbox, so that everything can be reached.
 * OneNET answers at once from this process, whose CPU is not counted.
 */
export async function startTarget(environment: NodeJS.ProcessEnv = {}): Promise<Target> {
  const onenet = await createSimulator({ fleet: createUniformFleet({ seed: 'fuzz' }), fault: faultByName });
  const faults: string[] = [];
  const service = await spawnServer(
    'the service',
    ['dist/main.js'],
    ourEnvironment(onenet.url, { SANDBOX: 'true', ROUTER_SECRET: SECRET, LOG_LEVEL: 'info', ...environment }),
    (line) => {
      if ((JSON.parse(line) as { readonly level: number }).level >= ERROR_LEVEL) faults.push(line);
    },
  );
  const client = new Client(new URL(service.url).origin, { headersTimeout: 60_000, bodyTimeout: 60_000 });
  return {
    service,
    faults,
    async measure(request) {
      for (let tries = 1; ; tries++) {
        const measurement = await measure(client, service, onenet, request);
        // What came before it was too much; that says nothing of this one.
        if (measurement.status !== SHED || tries === MOST_TRIES) return measurement;
        await delay(SHED_PAUSE_MS);
      }
    },
    async crowd(request, count) {
      const pool = new Pool(new URL(service.url).origin, { connections: count });
      const state = { over: false };
      const answers = Promise.allSettled(
        Array.from({ length: count }, () => measure(pool, service, onenet, request)),
      ).finally(() => (state.over = true));
      let probeMs = 0;
      while (!state.over) probeMs = Math.max(probeMs, await probe(client));
      await pool.destroy();
      const statuses = (await answers).map((each) => (each.status === 'fulfilled' ? each.value.status : 0));
      const refused = statuses.filter((status) => status === SHED).length;
      const cut = statuses.filter((status) => status === 0).length;
      return { answered: count - refused - cut, refused, cut, probeMs };
    },
    async stop() {
      await client.destroy();
      await service.stop();
      await onenet.close();
    },
  };
}

async function probe(client: Client): Promise<number> {
  const startedMs = performance.now();
  const { body } = await client.request({ method: 'GET', path: '/livez' });
  await body.dump();
  return performance.now() - startedMs;
}

async function measure(
  client: Client | Pool,
  service: RunningServer,
  onenet: Simulator,
  { headers, body }: Pick<Request, 'headers' | 'body'>,
): Promise<Measurement> {
  onenet.resetCalls();
  const before = service.cpuUs();
  const answer = await client.request({
    method: 'POST',
    path: '/graphql',
    headers: { ...headers, 'router-authorization': SECRET },
    body,
  });
  let head = '';
  let answerBytes = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    if (head.length < 4000) head += chunk.toString('latin1', 0, 4000);
    answerBytes += chunk.length;
  }
  const cpuMs = (service.cpuUs() - before) / 1000;
  const code = /"code":"(\w+)"/.exec(head)?.[1] ?? '';
  return { status: answer.statusCode, code, cpuMs, answerBytes, calls: onenet.calls.length };
}
