import { setTimeout as delay } from 'node:timers/promises';

import type { AskOtaTasks, OnOutcome, OtaTaskCall } from '../ask-ota-tasks.ts';
import { type OtaTaskRequest, pairId } from '../ota-task.ts';
import { type BeginLife, servesAddress } from './lifetimes.ts';
import type { RedisConnection } from './redis-connection.ts';
import { createScript } from './redis-script.ts';
import type { Seal } from './seal.ts';
import { decode, encode, type StoredOutcome } from './stored-outcome.ts';

const PREFIX = 'onenet-ota:task:';

/** Keys per script. Redis does nothing else while a script runs, and this many take about a millisecond. */
const MAX_KEYS = 500;
/** How long answers are collected for one write. */
const WRITE_AFTER_MS = 5;

/** The value with which a replica announces that it is asking OneNET. Written again, it withdraws the announcement. */
const CLAIM = '';
/** How long a claim lasts if it is not withdrawn. */
const CLAIM_MS = 1000;
/** How long a replica waits before it checks a claimed key again, and the limit of one read in all. */
const LOOK_AGAIN_MS = 20;
const MOST_READ_MS = 100;

/**
 * Returns each value with its remaining lifetime. A missing key is claimed, so that other replicas find the empty value
 * meanwhile.
 */
export const READ = createScript(`
local found = {}
for i, value in ipairs(redis.call('MGET', unpack(KEYS))) do
  found[2 * i - 1] = value
  found[2 * i] = value and redis.call('PTTL', KEYS[i])
  if not value then redis.call('SET', KEYS[i], '', 'PX', ${CLAIM_MS}) end
end
return found`);

/**
 * Writes each value with its age. A younger entry stays, and so does one with the address if the new one is without; an
 * entry without a lifetime is always replaced. An empty value withdraws a claim.
 */
export const WRITE = createScript(`
for i, key in ipairs(KEYS) do
  local value, age = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local old, left, stands = redis.pcall('GETRANGE', key, 0, 4), redis.call('PTTL', key), false
  if value == '' then
    if old == '' then redis.call('DEL', key) end
  else
    local serves, life = struct.unpack('>BI4', value)
    if left > 0 and type(old) == 'string' and #old == 5 then
      local oldServes, oldLife = struct.unpack('>BI4', old)
      stands = oldServes <= 1 and oldLife >= left and (oldServes > serves or oldLife - left < age)
    end
    if life > age and not stands then redis.call('SET', key, value, 'PX', life - age) end
  end
end`);

export interface RedisCacheOptions {
  readonly ask: AskOtaTasks;
  /** A connection that has loaded `READ` and `WRITE`. */
  readonly redis: RedisConnection;
  readonly sealOf: (request: OtaTaskRequest) => Seal;
  readonly beginLife: BeginLife;
  /** Milliseconds, from the same clock as the times in `Origin`. */
  readonly now: () => number;
}

/**
 * Answers pairs that any replica has fetched recently from Redis. While Redis is unavailable, every call passes
 * through.
 */
export function createRedisCache({ ask, redis, sealOf, beginLife, now }: RedisCacheOptions): AskOtaTasks {
  const writeSoon = createWriter(redis, now);

  function nameOf(request: OtaTaskRequest): string {
    return PREFIX + sealOf(request).nameOf(pairId(request));
  }

  /** @returns Values and remaining lifetimes, alternating; empty if Redis does not reply in time. */
  async function look(names: readonly string[], mostMs: number): Promise<unknown[]> {
    // The replies are inspected only once all are there, because inspecting the first would make the last one seem
    // late.
    const runs = inParts(names, MAX_KEYS).map((part) => redis.run(READ, part, []));
    const replies = await Promise.race([Promise.all(runs), delay(mostMs, [], { ref: false })]);
    return replies.every((reply) => Array.isArray(reply)) ? replies.flat() : [];
  }

  /** @returns The decoded entry, if it can answer the call. */
  function open(call: OtaTaskCall, name: string, value: Buffer): StoredOutcome | undefined {
    const stored = decode(sealOf(call), name, value);
    return call.withAddress && stored?.servesAddress === false ? undefined : stored;
  }

  /**
   * Answers what Redis has and asks OneNET for the rest, except for pairs that another replica has claimed: those are
   * read again.
   */
  async function read<Call extends OtaTaskCall>(
    calls: readonly Call[],
    onOutcome: OnOutcome<Call>,
    beganMs: number,
  ): Promise<void> {
    // Taken before Redis reads the lifetimes, so that they are never overestimated.
    const readAtMs = now();
    const names = calls.map(nameOf);
    const found = await look(names, beganMs + MOST_READ_MS - readAtMs);
    const looksAgain = now() + LOOK_AGAIN_MS < beganMs + MOST_READ_MS;
    const missing: Call[] = [];
    const claimed: Call[] = [];
    for (const [i, call] of calls.entries()) {
      if (!call.isAwaited) continue;
      const [value, leftMs] = [found[2 * i], found[2 * i + 1]];
      // An entry without a lifetime is not ours.
      const entry = Buffer.isBuffer(value) && typeof leftMs === 'number' && leftMs > 0 ? value : undefined;
      const stored = entry && open(call, names[i] as string, entry);
      // Nor is what has more of a life than it was written with: its entry was changed.
      if (stored !== undefined && (leftMs as number) <= stored.lifeMs) {
        const expiresAtMs = readAtMs + (leftMs as number);
        const answeredAtMs = expiresAtMs - stored.lifeMs;
        onOutcome(call, stored.outcome, { source: 'redis', answeredAtMs, expiresAtMs });
      } else {
        (entry?.length === CLAIM.length && looksAgain ? claimed : missing).push(call);
      }
    }
    if (missing.length > 0) askOneNet(missing, onOutcome);
    if (claimed.length === 0) return;
    await delay(LOOK_AGAIN_MS);
    await read(claimed, onOutcome, beganMs);
  }

  function askOneNet<Call extends OtaTaskCall>(calls: readonly Call[], onOutcome: OnOutcome<Call>): void {
    ask(calls, (call, outcome) => {
      if (outcome instanceof Error) {
        onOutcome(call, outcome);
        write(call, CLAIM, now());
        return;
      }
      const origin = beginLife(outcome);
      onOutcome(call, outcome, origin);
      const { answeredAtMs, expiresAtMs } = origin;
      const lifeMs = expiresAtMs - answeredAtMs;
      const stored = { outcome, servesAddress: servesAddress(call, outcome), lifeMs };
      write(call, lifeMs === 0 ? CLAIM : stored, answeredAtMs);
    });
  }

  function write(call: OtaTaskCall, stored: StoredOutcome | typeof CLAIM, answeredAtMs: number): void {
    if (redis.availableSinceMs === undefined) return;
    const name = nameOf(call);
    writeSoon(name, stored === CLAIM ? CLAIM : encode(sealOf(call), name, stored), answeredAtMs);
  }

  return (calls, onOutcome) => {
    if (redis.availableSinceMs === undefined) ask(calls, onOutcome);
    else void read(calls, onOutcome, now());
  };
}

/** Collects entries for a few milliseconds and writes them together. */
function createWriter(
  redis: RedisConnection,
  now: () => number,
): (name: string, value: Buffer | '', answeredAtMs: number) => void {
  let gathered: { readonly name: string; readonly value: Buffer | ''; readonly answeredAtMs: number }[] = [];

  function flush(): void {
    const entries = gathered;
    gathered = [];
    const nowMs = now();
    for (const part of inParts(entries, MAX_KEYS)) {
      const names = part.map(({ name }) => name);
      const values = part.flatMap(({ value, answeredAtMs }) => [
        value,
        String(Math.ceil(nowMs - answeredAtMs)),
      ]);
      void redis.run(WRITE, names, values);
    }
  }

  return (name, value, answeredAtMs) => {
    if (gathered.push({ name, value, answeredAtMs }) === 1) setTimeout(flush, WRITE_AFTER_MS);
  };
}

function inParts<T>(all: readonly T[], size: number): (readonly T[])[] {
  if (all.length <= size) return [all];
  const parts = [];
  for (let at = 0; at < all.length; at += size) parts.push(all.slice(at, at + size));
  return parts;
}
