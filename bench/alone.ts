import { execFileSync } from 'node:child_process';

import { request } from 'undici';

import { load, type LoadResult } from './load.ts';
import { createOperations } from './operation.ts';
import { OURS, PEERS, ROOT } from './peers.ts';
import { type RunningServer, startServer, type Upstream } from './processes.ts';
import { median } from './statistics.ts';

/** What is measured of ours without comparing it. */
export interface Alone {
  /** From the spawn of the process until it says that it is ready, milliseconds. */
  readonly readyMs: number;
  /** Of what is deployed, mebibytes on disk. */
  readonly buildMiB: number;
  /** Resident bytes after the first hundred thousand entities and after a million. */
  readonly rssAfter100k: number;
  readonly rssAfterMillion: number;
  /** Milliseconds that a probe waits, one after the other, while requests of a thousand entities are answered. */
  readonly probeP99Ms: number;
  readonly probeMaxMs: number;
  /** The longest that the event loop was late meanwhile, by the service's own metric, milliseconds. */
  readonly loopLagMaxMs: number;
}

const STARTS = 5;
const SIZE = 1000;
/** Requests after which the thousand-entity path is compiled. */
const WARM_UP = 100;

export async function examineAlone(upstream: Upstream, log: (line: string) => void): Promise<Alone> {
  await upstream.set({ latencyMs: 0 });
  log('ours alone: start, size, memory, event loop');
  return {
    readyMs: await timeToReady(upstream),
    buildMiB: Number(execFileSync('du', ['-sm', 'dist'], { cwd: ROOT, encoding: 'utf8' }).split('\t')[0]),
    ...(await measureMemory(upstream)),
    ...(await measureLag(upstream)),
  };
}

function start(upstream: Upstream): Promise<RunningServer> {
  const ours = PEERS.find(({ name }) => name === OURS);
  if (ours === undefined) throw new Error('the service is not among the servers');
  return startServer(ours, upstream);
}

async function timeToReady(upstream: Upstream): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const startedMs = performance.now();
    const server = await start(upstream);
    await probe(server);
    times.push(performance.now() - startedMs);
    await server.stop();
  }
  return median(times);
}

async function probe({ url }: RunningServer): Promise<number> {
  const startedMs = performance.now();
  const { statusCode, body } = await request(new URL('/readyz', url));
  await body.dump();
  if (statusCode !== 200) throw new Error(`not ready: ${statusCode}`);
  return performance.now() - startedMs;
}

async function measureMemory(upstream: Upstream): Promise<Pick<Alone, 'rssAfter100k' | 'rssAfterMillion'>> {
  const server = await start(upstream);
  try {
    await send(server, 100_000 / SIZE);
    const rssAfter100k = await settledRss(server);
    await send(server, 900_000 / SIZE);
    return { rssAfter100k, rssAfterMillion: await settledRss(server) };
  } finally {
    await server.stop();
  }
}

/** The median over some seconds, in which it goes on working. */
async function settledRss(server: RunningServer): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < 20; i++) {
    await send(server, 5);
    samples.push(server.rss());
  }
  return median(samples);
}

async function send(server: RunningServer, requests: number): Promise<LoadResult> {
  const operations = createOperations(SIZE);
  let left = requests;
  return load({ url: server.url, operations, inFlight: 1, enough: () => --left <= 0 });
}

async function measureLag(
  upstream: Upstream,
): Promise<Pick<Alone, 'probeP99Ms' | 'probeMaxMs' | 'loopLagMaxMs'>> {
  const server = await start(upstream);
  try {
    await send(server, WARM_UP);
    await lagSinceLastAsked(server);
    const waits: number[] = [];
    const state = { over: false };
    const load = send(server, 5 * WARM_UP).then(() => (state.over = true));
    while (!state.over) waits.push(await probe(server));
    await load;
    waits.sort((a, b) => a - b);
    return {
      probeP99Ms: waits[Math.floor(waits.length * 0.99)] ?? NaN,
      probeMaxMs: waits.at(-1) ?? NaN,
      loopLagMaxMs: await lagSinceLastAsked(server),
    };
  } finally {
    await server.stop();
  }
}

async function lagSinceLastAsked({ url }: RunningServer): Promise<number> {
  const { body } = await request(new URL('/metrics', url));
  const [, seconds] = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(await body.text()) ?? [];
  return Number(seconds) * 1000;
}
