import {
  type AskOtaTasks,
  type Origin,
  type OtaTaskCall,
  type OtaTaskOutcome,
  type OtaTaskRequest,
  pairId,
} from '../ota-task.ts';
import { type BeginLife, servesAddress } from './lifetimes.ts';
import { createScript, type RedisConnection } from './redis-connection.ts';
import type { Seal } from './seal.ts';
import { decode, encode } from './stored-outcome.ts';

const PREFIX = 'onenet-ota:task:';

/** Redis does nothing else while a script runs: this many take it a millisecond. */
const MAX_KEYS = 500;
/** How long answers are gathered to be written together. */
const WRITE_AFTER_MS = 5;

/** Each value and what is left of its life. */
export const READ = createScript(`
local found = {}
for i, value in ipairs(redis.call('MGET', unpack(KEYS))) do
  found[2 * i - 1] = value
  found[2 * i] = value and redis.call('PTTL', KEYS[i])
end
return found`);

/**
 * Each value with its age. An entry that is younger stands, and so does one that serves who wants the address against one
 * that does not; but what has no life is nobody's.
 */
export const WRITE = createScript(`
for i, key in ipairs(KEYS) do
  local value, age = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local serves, life = struct.unpack('>BI4', value)
  local old, left, stands = redis.pcall('GETRANGE', key, 0, 4), redis.call('PTTL', key), false
  if left > 0 and type(old) == 'string' and #old == 5 then
    local oldServes, oldLife = struct.unpack('>BI4', old)
    stands = oldServes > serves or oldLife - left < age
  end
  if life > age and not stands then redis.call('SET', key, value, 'PX', life - age) end
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

  function open(call: OtaTaskCall, name: string, value: unknown, leftMs: unknown, readAtMs: number) {
    if (!Buffer.isBuffer(value) || typeof leftMs !== 'number' || leftMs <= 0) return undefined;
    const stored = decode(sealOf(call), name, value);
    if (stored === undefined || (call.withAddress && !stored.servesAddress)) return undefined;
    const expiresAtMs = readAtMs + leftMs;
    const origin: Origin = { source: 'redis', answeredAtMs: expiresAtMs - stored.lifeMs, expiresAtMs };
    return { outcome: stored.outcome, origin };
  }

  /** @returns The calls that Redis has not answered. */
  async function read<Call extends OtaTaskCall>(
    calls: readonly Call[],
    onOutcome: (call: Call, outcome: OtaTaskOutcome, origin: Origin) => void,
  ): Promise<readonly Call[]> {
    if (redis.availableSinceMs === undefined) return calls;
    // Before Redis looks at the lives: they are never taken for longer than they are.
    const readAtMs = now();
    const names = calls.map(nameOf);
    // To look into the first replies before the last is there would make that one seem late.
    const replies = await Promise.all(inParts(names, MAX_KEYS).map((part) => redis.run(READ, part, [])));
    if (!replies.every((reply) => Array.isArray(reply))) return calls;
    const found: unknown[] = replies.flat();
    return calls.filter((call, i) => {
      const hit = open(call, names[i] as string, found[2 * i], found[2 * i + 1], readAtMs);
      if (hit !== undefined) onOutcome(call, hit.outcome, hit.origin);
      return hit === undefined;
    });
  }

  function write(call: OtaTaskCall, outcome: OtaTaskOutcome, origin: Origin): void {
    const lifeMs = origin.expiresAtMs - origin.answeredAtMs;
    if (lifeMs === 0 || redis.availableSinceMs === undefined) return;
    const name = nameOf(call);
    const stored = { outcome, servesAddress: servesAddress(call, outcome), lifeMs };
    writeSoon(name, encode(sealOf(call), name, stored), origin.answeredAtMs);
  }

  function nameOf(request: OtaTaskRequest): string {
    return PREFIX + sealOf(request).nameOf(pairId(request));
  }

  return (calls, onOutcome) => {
    void read(calls, onOutcome).then((unanswered) => {
      const missing = unanswered.filter(({ isAwaited }) => isAwaited);
      if (missing.length === 0) return;
      ask(missing, (call, outcome) => {
        if (outcome instanceof Error) {
          onOutcome(call, outcome);
          return;
        }
        const origin = beginLife(outcome);
        onOutcome(call, outcome, origin);
        write(call, outcome, origin);
      });
    });
  };
}

/** Writes what comes within a few milliseconds together. */
function createWriter(
  redis: RedisConnection,
  now: () => number,
): (name: string, value: Buffer, answeredAtMs: number) => void {
  let gathered: { readonly name: string; readonly value: Buffer; readonly answeredAtMs: number }[] = [];

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
