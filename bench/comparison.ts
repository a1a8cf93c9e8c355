import { request } from 'undici';

import { load, type LoadResult } from './load.ts';
import { createOperations, type Operations } from './operation.ts';
import { startRedis } from '../demo/redis.ts';
import { FLOOR, type Peer } from './peers.ts';
import { type RunningServer, startServer, type StartOptions, type Upstream } from './processes.ts';
import { median, percentile, type Spread, spreadOf } from './statistics.ts';
import type { Counts, Setting } from './upstream.ts';

export interface Plan {
  /** Entities in a request. */
  readonly sizes: readonly number[];
  /** How upstream behaves, each with its effort. */
  readonly efforts: readonly Effort[];
}

export interface Effort extends Setting {
  readonly rounds: number;
  /** CPU time that a server uses in one round, milliseconds. */
  readonly roundCpuMs: number;
  /** The same before the first round. */
  readonly warmUpCpuMs: number;
}

/** One server at one size and one behaviour of upstream. */
export interface Row {
  readonly server: string;
  readonly size: number;
  readonly latencyMs: number;
  readonly callsPerConnection: number | undefined;
  readonly inFlight: number;
  /** Microseconds of CPU for each entity, over the rounds. */
  readonly cpuUs: Spread;
  /** To the floor in the same round, over the rounds. */
  readonly ratio: Spread;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Bytes. */
  readonly peakRss: number;
  readonly callsPerRequest: number;
  /** What `callsPerRequest` must be, unless answers are kept. */
  readonly pairs: number;
  /** Of TLS. */
  readonly handshakesPerEntity: number;
  /** The share of them that took up an earlier session; NaN without any. */
  readonly resumedShare: number;
}

interface Refusal {
  readonly server: string;
  readonly size: number;
  readonly reason: string;
}

export interface Comparison {
  readonly rows: readonly Row[];
  /** Servers that were not measured, because what they answer is not what the floor answers. */
  readonly refusals: readonly Refusal[];
}

/** What ours allows by default. */
const MAX_DEVICE_TASKS = 1000;
/** Enough even for a server that has nearly nothing to do. */
const ROUND_LIMIT_MS = 60_000;

/** What ours must be told in order to answer requests of this size. */
export function allowing(size: number): StartOptions {
  return size > MAX_DEVICE_TASKS ? { maxDeviceTasks: size } : {};
}

/**
 * Measures all servers in turns (A B C A B C …), so that what else the machine does hits all of them alike. For each size
 * they are started anew.
 */
export async function compare(
  peers: readonly Peer[],
  upstream: Upstream,
  plan: Plan,
  log: (line: string) => void,
): Promise<Comparison> {
  const rows: Row[] = [];
  const refusals: Refusal[] = [];
  for (const size of plan.sizes) {
    const operations = createOperations(size);
    const taking = peers.filter(({ sizes }) => sizes?.includes(size) ?? true);
    // A new one, empty, for each size: their devices overlap.
    const redis = taking.some(({ usesRedis }) => usesRedis) ? await startRedis() : undefined;
    const servers = await Promise.all(
      taking
        .filter(({ usesRedis }) => !usesRedis || redis !== undefined)
        .map((peer) => startServer(peer, upstream, { ...allowing(size), redisUrl: redis?.url })),
    );
    try {
      const { contestants, refused } = await examine(servers, operations, upstream);
      refusals.push(...refused);
      for (const { server, reason } of refused) log(`${server} is not measured at ${size}: ${reason}`);
      for (const effort of plan.efforts) {
        rows.push(...(await measure(contestants, operations, upstream, effort, log)));
      }
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
      await redis?.stop();
    }
  }
  await upstream.set({ latencyMs: 0 });
  return { rows, refusals };
}

interface Contestant {
  readonly server: RunningServer;
  readonly answerBytes: number;
}

/** Whoever answers other data than the floor, or asks upstream more or less than it must, is not measured. */
async function examine(
  servers: readonly RunningServer[],
  operations: Operations,
  upstream: Upstream,
): Promise<{ contestants: Contestant[]; refused: Refusal[] }> {
  const contestants: Contestant[] = [];
  const refused: Refusal[] = [];
  let expected: string | undefined;
  for (const server of servers) {
    const refuse = (reason: string): void =>
      void refused.push({ server: server.name, size: operations.size, reason });
    const before = await upstream.set({ latencyMs: 0 });
    const text = await answerOf(server.url, operations.bodies[0] as Buffer);
    const calls = (await upstream.set({ latencyMs: 0 })).calls - before.calls;
    const data = dataOf(text);
    if (server.name === FLOOR) expected = data;
    if (data !== expected) refuse(`its data differ: ${text.slice(0, 200)}`);
    else if (calls !== operations.pairs) refuse(`${calls} upstream calls instead of ${operations.pairs}`);
    else contestants.push({ server, answerBytes: Buffer.byteLength(text) });
  }
  return { contestants, refused };
}

async function answerOf(url: string, body: Buffer): Promise<string> {
  const answer = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body,
  });
  return answer.body.text();
}

/** The order of the fields included. */
function dataOf(text: string): string {
  try {
    return JSON.stringify((JSON.parse(text) as { readonly data?: unknown }).data);
  } catch {
    return text;
  }
}

/** Entities in flight are about the same for all sizes; upstream latency needs more of them to keep a server busy. */
export function requestsInFlight(size: number, latencyMs: number): number {
  if (size >= 1000) return 1;
  if (size >= 100) return 2;
  if (size >= 10) return latencyMs === 0 ? 4 : 8;
  return latencyMs === 0 ? 16 : 64;
}

interface Round extends LoadResult, Counts {
  readonly cpuUs: number;
}

async function measure(
  contestants: readonly Contestant[],
  operations: Operations,
  upstream: Upstream,
  { latencyMs, callsPerConnection, rounds, roundCpuMs, warmUpCpuMs }: Effort,
  log: (line: string) => void,
): Promise<Row[]> {
  const { size, pairs } = operations;
  const inFlight = requestsInFlight(size, latencyMs);
  const setting: Setting = { latencyMs, callsPerConnection };
  for (const contestant of contestants) {
    await measureRound(contestant, operations, inFlight, upstream, setting, warmUpCpuMs);
    contestant.server.forgetPeak();
  }
  const done = new Map<string, Round[]>(contestants.map(({ server }) => [server.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      const measured = await measureRound(contestant, operations, inFlight, upstream, setting, roundCpuMs);
      done.get(contestant.server.name)?.push(measured);
    }
  }
  const floor = done.get(FLOOR) ?? [];
  return contestants.map(({ server }) => {
    const own = done.get(server.name) ?? [];
    const latencies = own.flatMap((round) => round.latencies);
    const total = (of: (round: Round) => number): number => sum(own.map(of));
    const handshakes = total((round) => round.handshakes);
    const row: Row = {
      server: server.name,
      size,
      latencyMs,
      callsPerConnection,
      inFlight,
      cpuUs: spreadOf(own.map(cpuPerEntity)),
      ratio: spreadOf(own.map((round, i) => cpuPerEntity(round) / cpuPerEntity(floor[i] as Round))),
      requestsPerSecond: median(own.map((round) => (round.requests / round.wallMs) * 1000)),
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      peakRss: server.peakRss(),
      callsPerRequest: total(({ calls }) => calls) / total(({ requests }) => requests),
      pairs,
      handshakesPerEntity: handshakes / total(({ entities }) => entities),
      resumedShare: total(({ resumed }) => resumed) / handshakes,
    };
    log(
      `${size} @ ${latencyMs} ms  ${server.name.padEnd(24)} ${row.cpuUs.median.toFixed(1).padStart(8)} µs ` +
        `${row.ratio.median.toFixed(2).padStart(6)} x`,
    );
    return row;
  });
}

async function measureRound(
  { server, answerBytes }: Contestant,
  operations: Operations,
  inFlight: number,
  upstream: Upstream,
  setting: Setting,
  cpuMs: number,
): Promise<Round> {
  const before = await upstream.set(setting);
  const cpuBefore = server.cpuUs();
  const result = await load({
    url: server.url,
    operations,
    answerBytes,
    inFlight,
    enough: spent(server, cpuBefore + cpuMs * 1000),
  });
  const cpuUs = server.cpuUs() - cpuBefore;
  const after = await upstream.set(setting);
  return {
    ...result,
    cpuUs,
    calls: after.calls - before.calls,
    handshakes: after.handshakes - before.handshakes,
    resumed: after.resumed - before.resumed,
  };
}

/** Whether the server's CPU time has come to `untilUs`; looked up now and then only, for it costs more than a request. */
function spent(server: RunningServer, untilUs: number): () => boolean {
  const startedMs = performance.now();
  let lookedMs = startedMs;
  let over = false;
  return () => {
    const now = performance.now();
    if (over || now - lookedMs < 20) return over;
    lookedMs = now;
    over = server.cpuUs() >= untilUs || now - startedMs > ROUND_LIMIT_MS;
    return over;
  };
}

function cpuPerEntity({ cpuUs, entities }: Round): number {
  return cpuUs / entities;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
