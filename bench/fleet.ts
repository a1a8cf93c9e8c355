import { setTimeout as delay } from 'node:timers/promises';

import { startRedis } from '../demo/redis.ts';
import { createClient, post } from './load.ts';
import { createPage } from './operation.ts';
import { MERCURIUS, OURS, type Peer, PEERS, REST } from './peers.ts';
import { startServer, type Upstream } from './processes.ts';
import { percentile } from './statistics.ts';

/** One kind of server as a fleet of replicas that clients poll. */
export interface FleetRow {
  readonly server: string;
  readonly description: string;
  readonly callsPerSecond: number;
  /** One is the ideal of who keeps answers for a life. */
  readonly callsPerLife: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly answers: number;
  /** Of all replicas together; 1000 is one core. */
  readonly cpuMsPerSecond: number;
}

const REPLICAS = 3;
const CLIENTS = 30;
const POLL_MS = 2000;
const DEVICES = 1000;
const ONENET_MS = 30;
const LIFE_MS = 5000;

function contestants(): Peer[] {
  const find = (wanted: string): Peer => PEERS.find(({ name }) => name === wanted) as Peer;
  const seconds = { CACHE_TTL_SECONDS: String(LIFE_MS / 1000) };
  const kept = { CACHE_TTL_MS: String(LIFE_MS) };
  const life = `answers kept for ${LIFE_MS / 1000} s`;
  return [
    { ...find(OURS), description: `${life}, in a Redis for all`, environment: kept, usesRedis: true },
    {
      ...find(OURS),
      name: `${OURS}-memory`,
      description: `${life}, in each replica's memory`,
      environment: kept,
    },
    {
      ...find(OURS),
      name: `${OURS}-unshared`,
      description: 'as it is by default: only calls under way are shared',
    },
    { ...find(REST), description: `\`cacheOptions.ttl\`: ${life}`, environment: seconds },
    { ...find(MERCURIUS), description: `mercurius-cache: ${life}`, environment: seconds },
  ];
}

/** Thirty clients poll one page of a thousand devices, each from another replica each time. */
export async function examineFleet(
  upstream: Upstream,
  seconds: number,
  log: (line: string) => void,
): Promise<FleetRow[]> {
  const rows: FleetRow[] = [];
  for (const peer of contestants()) {
    const redis = peer.usesRedis ? await startRedis() : undefined;
    if (peer.usesRedis && redis === undefined) {
      log(`${peer.name} is not measured: redis-server is not installed`);
      continue;
    }
    const row = await measure(peer, upstream, seconds, redis?.url);
    await redis?.stop();
    log(
      `${row.server.padEnd(16)} ${row.callsPerSecond.toFixed(0).padStart(6)} calls/s, ${row.callsPerLife.toFixed(2)} for a pair and life`,
    );
    rows.push(row);
  }
  await upstream.set({ latencyMs: 0 });
  return rows;
}

async function measure(
  peer: Peer,
  upstream: Upstream,
  seconds: number,
  redisUrl: string | undefined,
): Promise<FleetRow> {
  const servers = await Promise.all(
    Array.from({ length: REPLICAS }, () => startServer(peer, upstream, { redisUrl })),
  );
  try {
    const calls = async (): Promise<number> => (await upstream.set({ latencyMs: ONENET_MS })).calls;
    await calls();
    const state = { isOver: false };
    const latencies: number[] = [];
    const clients = Array.from({ length: CLIENTS }, (_, i) =>
      poll(
        servers.map(({ url }) => url),
        i,
        state,
        latencies,
      ),
    );
    // The first life is a cold start, and long enough to compile what is hot.
    await delay(LIFE_MS);
    latencies.length = 0;
    const cpuUs = (): number => servers.reduce((sum, server) => sum + server.cpuUs(), 0);
    const [callsBefore, cpuBefore, beganMs] = [await calls(), cpuUs(), performance.now()];
    // Whole lives: calls come in waves.
    await delay(Math.ceil((seconds * 1000) / LIFE_MS) * LIFE_MS);
    const tookMs = performance.now() - beganMs;
    const called = (await calls()) - callsBefore;
    const cpuMs = (cpuUs() - cpuBefore) / 1000;
    const measured = [...latencies];
    state.isOver = true;
    await Promise.all(clients);
    return {
      server: peer.name,
      description: peer.description,
      callsPerSecond: (called / tookMs) * 1000,
      callsPerLife: called / DEVICES / (tookMs / LIFE_MS),
      p50Ms: percentile(measured, 0.5),
      p99Ms: percentile(measured, 0.99),
      answers: measured.length,
      cpuMsPerSecond: (cpuMs / tookMs) * 1000,
    };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** One client: it begins somewhere in the two seconds, and never asks again before it was answered. */
async function poll(
  urls: readonly string[],
  ordinal: number,
  state: { readonly isOver: boolean },
  latencies: number[],
): Promise<void> {
  const body = createPage(DEVICES);
  const clients = urls.map((url) => createClient(new URL(url).origin));
  await delay((ordinal * POLL_MS) / CLIENTS);
  for (let turn = ordinal; !state.isOver; turn++) {
    const at = turn % urls.length;
    const sentMs = performance.now();
    const { pathname } = new URL(urls[at] as string);
    const wasAnswered = await post(clients[at] as (typeof clients)[number], pathname, body).then(
      () => true,
      (error: unknown) => {
        // From a replica that is overloaded. Its client asks the next one, when it is time.
        if ((error as Error).message === 'HTTP status 503') return false;
        throw error;
      },
    );
    const tookMs = performance.now() - sentMs;
    if (wasAnswered) latencies.push(tookMs);
    await delay(Math.max(0, POLL_MS - tookMs));
  }
  await Promise.all(clients.map((client) => client.close()));
}

/** What is said of the scenario in a report. */
export const FLEET_SCENARIO =
  `${REPLICAS} replicas, OneNET answers after ${ONENET_MS} ms, ${CLIENTS} clients poll the same ${DEVICES} devices every ` +
  `${POLL_MS / 1000} s. "For a pair and life" is calls / devices / (time / ${LIFE_MS / 1000} s).`;
