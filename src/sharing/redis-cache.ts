import { setTimeout as delay } from 'node:timers/promises';

import type { AskOtaTasks, OnOutcome, OtaTaskCall } from '../ask-ota-tasks.ts';
import { type OtaTaskRequest, pairId } from '../ota-task.ts';
import { type BeginLife, servesAddress } from './lifetimes.ts';
import type { RedisConnection } from './redis-connection.ts';
import { createScript } from './redis-script.ts';
import type { Seal } from './seal.ts';
import { decode, encode, type StoredOutcome } from './stored-outcome.ts';

const PREFIX = 'onenet-ota:task:';

/** Redis does nothing else while a script runs: this many take it a millisecond. */
const MAX_KEYS = 500;
/** How long answers are gathered to be written together. */
const WRITE_AFTER_MS = 5;

/** The value by which a replica tells the others that it asks OneNET; written again, it is taken back. */
const CLAIM = '';
/** How long others wait for whoever asks OneNET, unless told sooner that there is nothing to wait for. */
const CLAIM_MS = 1000;
/** How long they wait until they look again, and how long a read may take in all. */
const LOOK_AGAIN_MS = 20;
const MOST_READ_MS = 100;

/** Each value and what is left of its life. Whoever finds none claims it: others find the empty value meanwhile. */
export const READ = createScript(`
local found = {}
for i, value in ipairs(redis.call('MGET', unpack(KEYS))) do
  found[2 * i - 1] = value
  found[2 * i] = value and redis.call('PTTL', KEYS[i])
  if not value then redis.call('SET', KEYS[i], '', 'PX', ${CLAIM_MS}) end
end
return found`);

/**
 * Each value with its age. An entry that is younger stands, and so does one that serves who wants the address against one
 * that does not; but what has no life is nobody's. An empty value takes back a claim.
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
  /** With both of this cache's scripts. */
  readonly redis: RedisConnection;
  readonly sealOf: (request: OtaTaskRequest) => Seal;
  readonly beginLife: BeginLife;
  /** Milliseconds, from the clock of `Origin`. */
  readonly now: () => number;
}

/** Answers from Redis what any replica was answered a short while ago; while Redis is away, as if it were not there. */
export function createRedisCache({ ask, redis, sealOf, beginLife, now }: RedisCacheOptions): AskOtaTasks {
  const writeSoon = createWriter(redis, now);

  function nameOf(request: OtaTaskRequest): string {
    return PREFIX + sealOf(request).nameOf(pairId(request));
  }

  /** @returns Each value and what is left of its life, one after the other; empty where Redis does not tell in time. */
  async function look(names: readonly string[], mostMs: number): Promise<unknown[]> {
    // To look into the first replies before the last is there would make that one seem late.
    const runs = inParts(names, MAX_KEYS).map((part) => redis.run(READ, part, []));
    const replies = await Promise.race([Promise.all(runs), delay(mostMs, [], { ref: false })]);
    return replies.every((reply) => Array.isArray(reply)) ? replies.flat() : [];
  }

  /** @returns What an entry says, if that is of use to the call. */
  function open(call: OtaTaskCall, name: string, value: Buffer): StoredOutcome | undefined {
    const stored = decode(sealOf(call), name, value);
    return call.withAddress && stored?.servesAddress === false ? undefined : stored;
  }

  /** Answers what is there and asks OneNET for the rest, but for what another replica asks for: that is looked for again. */
  async function read<Call extends OtaTaskCall>(
    calls: readonly Call[],
    onOutcome: OnOutcome<Call>,
    beganMs: number,
  ): Promise<void> {
    // Before Redis looks at the lives: they are never taken for longer than they are.
    const readAtMs = now();
    const names = calls.map(nameOf);
    const found = await look(names, beganMs + MOST_READ_MS - readAtMs);
    const looksAgain = now() + LOOK_AGAIN_MS < beganMs + MOST_READ_MS;
    const missing: Call[] = [];
    const claimed: Call[] = [];
    for (const [i, call] of calls.entries()) {
      if (!call.isAwaited) continue;
      const [value, leftMs] = [found[2 * i], found[2 * i + 1]];
      // What has no life is nobody's.
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

/** Writes what comes within a few milliseconds together. */
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
