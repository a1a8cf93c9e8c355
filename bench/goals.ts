import type { Alone } from './alone.ts';
import type { Row } from './comparison.ts';
import type { FleetRow } from './fleet.ts';
import {
  FLOOR,
  MERCURIUS,
  MERCURIUS_DISPATCH,
  MERCURIUS_PRODUCTION,
  OURS,
  OURS_MEMORY,
  OURS_REDIS,
  REST,
} from './peers.ts';

export interface Goal {
  readonly name: string;
  readonly limit: string;
  readonly figure: string;
  readonly met: boolean;
}

/** The most that an entity may cost, to the floor. */
const MOST: readonly (readonly [size: number, ratio: number])[] = [
  [100, 1.25],
  [1000, 1.1],
];
/** The most that an entity may cost, to another server, from one size on. */
const TO_PEERS: readonly (readonly [server: string, what: string, from: number, ratio: number])[] = [
  [MERCURIUS, 'Mercurius with JIT', 1, 1],
  [MERCURIUS_DISPATCH, 'Mercurius given our client', 100, 1],
  [MERCURIUS_PRODUCTION, 'Mercurius for production', 1, 0.5],
];
/** The most that a batch may take at 20 ms upstream, to the floor. */
const WALL = 1.05;
/** How many times less an entity must cost than with RESTDataSource. */
const BELOW_REST: readonly (readonly [size: number, factor: number])[] = [
  [100, 5],
  [1000, 10],
];
/** The most that an entity from a cache may cost, to one from OneNET. */
const KEPT: readonly (readonly [server: string, where: string, ratio: number])[] = [
  [OURS_MEMORY, 'memory', 0.25],
  [OURS_REDIS, 'Redis', 0.67],
];
/** Lives are shortened by a twentieth on average, and one call in twenty is the price of that. */
const CALLS_PER_LIFE = 1.1;
/** Memory and timing are as noisy as the machine. */
const FLAT = 1.1;

/** Judges what was measured; what was not has no goal here. */
export function judge(rows: readonly Row[], alone: Alone | undefined): Goal[] {
  const goals: Goal[] = [];
  const find = (server: string, size: number, latencyMs = 0): Row | undefined =>
    rows.find((row) => row.server === server && row.size === size && row.latencyMs === latencyMs);
  const atMost = (name: string, limit: number, figure: number | undefined, unit: string): void => {
    if (figure === undefined) return;
    goals.push({
      name,
      limit: `≤ ${limit}${unit}`,
      figure: `${figure.toFixed(2)}${unit}`,
      met: figure <= limit,
    });
  };

  const sizes = [...new Set(rows.map(({ size }) => size))];
  for (const [size, limit] of MOST) {
    atMost(`CPU for an entity, to the floor, at ${size}`, limit, find(OURS, size)?.ratio.median, ' ×');
  }
  for (const [server, what, from, limit] of TO_PEERS) {
    for (const size of sizes.filter((size) => size >= from)) {
      const ratio = quotient(find(OURS, size)?.cpuUs.median, find(server, size)?.cpuUs.median);
      atMost(`the same, to ${what}, at ${size}`, limit, ratio, ' ×');
    }
  }
  for (const [size, factor] of BELOW_REST) {
    const times = quotient(find(REST, size)?.cpuUs.median, find(OURS, size)?.cpuUs.median);
    if (times === undefined) continue;
    goals.push({
      name: `times cheaper than RESTDataSource, at ${size}`,
      limit: `≥ ${factor} ×`,
      figure: `${times.toFixed(1)} ×`,
      met: times >= factor,
    });
  }
  for (const [server, where, limit] of KEPT) {
    for (const size of [100, 1000]) {
      const ratio = quotient(find(server, size)?.cpuUs.median, find(OURS, size)?.cpuUs.median);
      atMost(`CPU for an entity from ${where}, to one from OneNET, at ${size}`, limit, ratio, ' ×');
    }
  }
  const flatness = quotient(find(OURS, 10_000)?.cpuUs.median, find(OURS, 100)?.cpuUs.median);
  atMost('CPU for an entity at 10 000, to that at 100', FLAT, flatness, ' ×');
  for (const size of sizes) {
    const wall = quotient(find(OURS, size, 20)?.p50Ms, find(FLOOR, size, 20)?.p50Ms);
    atMost(`time of a batch at 20 ms upstream, to the floor, at ${size}`, WALL, wall, ' ×');
  }
  if (alone !== undefined) {
    const memory = quotient(alone.rssAfterMillion, alone.rssAfter100k);
    atMost('memory after a million entities, to that after 100 000', FLAT, memory, ' ×');
    atMost('lag of the event loop, requests of 1000', 50, alone.loopLagMaxMs, ' ms');
    atMost('slowest probe meanwhile', 50, alone.probeMaxMs, ' ms');
    atMost('ready after', 1000, alone.readyMs, ' ms');
    atMost('size of the build', 60, alone.buildMiB, ' MiB');
  }
  return goals;
}

export function judgeFleet(rows: readonly FleetRow[]): Goal[] {
  return rows
    .filter(({ server }) => server === OURS)
    .map(({ callsPerLife }) => ({
      name: 'calls for a pair and life, three replicas',
      limit: `≤ ${CALLS_PER_LIFE}`,
      figure: callsPerLife.toFixed(3),
      met: callsPerLife <= CALLS_PER_LIFE,
    }));
}

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}
