import { randomUUID } from 'node:crypto';

import type { TakeTurn } from '../ask-ota-tasks.ts';
import { createQuota, createWake, RARE_MS } from './quota.ts';
import type { RedisConnection } from './redis-connection.ts';
import { createScript } from './redis-script.ts';

/** The time that a lease covers. It is short, because a turn that its replica does not use is lost to the fleet. */
const LEASE_MS = 50;
/** How long after its due time a turn may still be used. */
const LATE_MS = 50;
/** How far ahead turns are granted. A due time beyond this comes from a clock that was set back. */
const HORIZON_MS = 1000;
/** The horizon, and the longest interval. */
const MAX_DUE_US = 3_000_000;
const HEARTBEAT_MS = 2000;
/** A replica without a heartbeat for this long is considered gone. */
const REPLICA_MS = 6000;

/**
 * Grants the fleet's next turns, up to the number wanted, by Redis' clock. Times are in microseconds.
 *
 * @returns The number granted, the time until the first is due, and the number of replicas.
 */
export const LEASE = createScript(`
local interval, wanted, replica = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

redis.call('ZADD', KEYS[2], now, replica)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ${REPLICA_MS * 1000})
redis.call('PEXPIRE', KEYS[2], ${REPLICA_MS})

local furthest = now + ${HORIZON_MS * 1000}
local due = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
if due > furthest + interval + 1 then due = now end
local granted = math.min(wanted, math.floor((furthest - due) / interval) + 1)
if granted > 0 then
  local free = due + granted * interval
  redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000))
end
return {granted, math.floor(due - now), redis.call('ZCARD', KEYS[2])}`);

export interface FleetQuotaOptions {
  /** A connection that has loaded `LEASE`. */
  readonly redis: RedisConnection;
  /** The quota of all replicas together. */
  readonly callsPerSecond: number;
  /** Identifies the quota: replicas with the same name share it. */
  readonly name: string;
  /** Milliseconds, from a monotonic clock. */
  readonly now: () => number;
  /** A number from 0 to 1. */
  readonly random: () => number;
  /** Called when Redis becomes unavailable, with the share that this replica then keeps to. */
  readonly onAlone: (share: { readonly callsPerSecond: number; readonly replicas: number }) => void;
}

export interface FleetQuota {
  readonly takeTurn: TakeTurn;
  close(): void;
}

/**
 * Enforces one quota for the fleet. Turns are evenly spaced points in time, which Redis leases to replicas, several at
 * once. While Redis is unavailable, a replica keeps to its share among the replicas it last saw.
 */
export function createFleetQuota(options: FleetQuotaOptions): FleetQuota {
  const { redis, callsPerSecond, name, now, random, onAlone } = options;
  const intervalMs = 1000 / callsPerSecond;
  const mostLeased = Math.max(1, Math.floor(LEASE_MS / intervalMs));
  const replica = randomUUID();
  const keys = [`onenet-ota:{quota:${name}}:due`, `onenet-ota:{quota:${name}}:replicas`];
  const wake = createWake();
  let leases: { dueMs: number; left: number }[] = [];
  let takenMs = -Infinity;
  let isAsking = false;
  let replicas = 1;
  let alone: TakeTurn | undefined;
  let retryWaiting: () => void = () => undefined;

  async function ask(wanted: number): Promise<void> {
    isAsking = true;
    const reply = await redis.run(LEASE, keys, [String(intervalMs * 1000), String(wanted), replica]);
    isAsking = false;
    if (!isLease(reply, wanted)) {
      retryWaiting();
      return;
    }
    const [granted, dueInUs, seen] = reply;
    // Where Redis has come back empty, others are seen again only with their next sign of life.
    const seenAll = redis.availableSinceMs !== undefined && now() - redis.availableSinceMs > REPLICA_MS;
    if (seen > replicas || seenAll) replicas = seen;
    const dueInMs = dueInUs / 1000;
    if (granted > 0) leases.push({ dueMs: now() + dueInMs, left: granted });
    if (granted > 0 || wanted === 0) retryWaiting();
    else wake(dueInMs - HORIZON_MS + random() * LEASE_MS, retryWaiting);
  }

  function takeAlone(waiting: number, retry: () => void): boolean {
    if (alone === undefined) {
      const share = callsPerSecond / replicas;
      alone = createQuota(share, now);
      leases = [];
      onAlone({ callsPerSecond: share, replicas });
    }
    return alone(waiting, retry);
  }

  /** Drops turns that are too late to use and counts the rest. */
  function countTurns(nowMs: number): number {
    for (const lease of leases) {
      const passed = Math.max(0, Math.ceil((nowMs - LATE_MS - lease.dueMs) / intervalMs));
      lease.left -= passed;
      lease.dueMs += passed * intervalMs;
    }
    leases = leases.filter(({ left }) => left > 0);
    return leases.reduce((sum, { left }) => sum + left, 0);
  }

  function takeTurn(waiting: number, retry: () => void): boolean {
    retryWaiting = retry;
    if (redis.availableSinceMs === undefined) return takeAlone(waiting, retry);
    alone = undefined;
    const nowMs = now();
    const turns = countTurns(nowMs);
    // Lease more turns before these are used up, because waiting for Redis would lose some.
    if (!isAsking && turns <= mostLeased / 2 && turns < waiting) {
      void ask(Math.min(mostLeased, waiting - turns));
    }
    const [lease] = leases;
    if (lease === undefined) return false;
    const dueMs = intervalMs < RARE_MS ? lease.dueMs : Math.max(lease.dueMs, takenMs + intervalMs);
    if (dueMs > nowMs) {
      wake(dueMs - nowMs, retry);
      return false;
    }
    takenMs = nowMs;
    lease.left--;
    lease.dueMs += intervalMs;
    return true;
  }

  const heartbeat = setInterval(() => {
    if (redis.availableSinceMs !== undefined && !isAsking) void ask(0);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  void ask(0);

  return {
    takeTurn,
    close: () => clearInterval(heartbeat),
  };
}

/** Whether a reply is what the script gives; something that only answers to Redis' name might say anything. */
function isLease(reply: unknown, wanted: number): reply is [number, number, number] {
  if (!Array.isArray(reply) || reply.length !== 3 || !reply.every(Number.isSafeInteger)) return false;
  const [granted, dueInUs, seen] = reply as [number, number, number];
  return granted >= 0 && granted <= wanted && dueInUs >= 0 && dueInUs <= MAX_DUE_US && seen >= 1;
}
