import { onTestFinished } from 'vitest';

import { createTokenMint } from '../../src/onenet/authorization.ts';
import { createBulkhead } from '../../src/onenet/bulkhead.ts';
import { createCircuit } from '../../src/onenet/circuit.ts';
import { createOneNetClient } from '../../src/onenet/client.ts';
import { createTransport } from '../../src/onenet/transport.ts';
import type { AskOtaTasks } from '../../src/ask-ota-tasks.ts';
import type { OtaTaskOutcome, OtaTaskRequest } from '../../src/ota-task.ts';
import type { RequestScope, RequestTrace } from '../../src/request-scope.ts';
import { type AnsweredPairs, shareInFlight } from '../../src/sharing/in-flight.ts';
import { createLifetimes } from '../../src/sharing/lifetimes.ts';
import { createMemoryCache } from '../../src/sharing/memory-cache.ts';
import { createRedisCache, READ, WRITE } from '../../src/sharing/redis-cache.ts';
import { createRedisConnection, type RedisConnection } from '../../src/sharing/redis-connection.ts';
import { createSeal } from '../../src/sharing/seal.ts';
import { createUniformFleet } from '../../src/simulator/fleet.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';
import { CREDENTIALS } from '../service.ts';
import { until } from '../until.ts';

const now = (): number => performance.now();

/** Starts a simulator; stops it after the test. */
export async function startOneNet(options: SimulatorOptions = {}): Promise<Simulator> {
  const onenet = await createSimulator({ fleet: createUniformFleet({ seed: 'test' }), ...options });
  onTestFinished(() => onenet.close());
  return onenet;
}

export interface ChainOptions {
  readonly taskMs?: number;
  readonly absentMs?: number;
  /** If absent, nothing is kept in memory. */
  readonly maxEntries?: number;
  readonly redisUrl?: string;
  readonly secret?: string;
  /** Shortens lifetimes by up to a tenth; from 0 to 1. */
  readonly random?: number;
  readonly connections?: number;
}

export interface Chain {
  readonly ask: (requests: readonly OtaTaskRequest[], waiter?: Waiter) => Promise<(OtaTaskOutcome | Error)[]>;
  readonly answered: AnsweredPairs;
  readonly redis: RedisConnection | undefined;
  /** The reported changes of Redis. */
  readonly changes: readonly string[];
}

/** The chain of one replica, down to a client that calls the simulator over HTTP. */
export async function startChain(onenet: Simulator, options: ChainOptions = {}): Promise<Chain> {
  const { taskMs = 0, absentMs = 0, maxEntries, redisUrl, secret = CREDENTIALS.accessKey } = options;
  const answered: AnsweredPairs = { onenet: 0, in_flight: 0, memory: 0, redis: 0 };
  const changes: string[] = [];
  const beginLife = createLifetimes({ taskMs, absentMs, now, random: () => options.random ?? 0 });

  let ask = startClient(onenet, options.connections);
  let redis: RedisConnection | undefined;
  if (redisUrl !== undefined) {
    redis = startConnection(redisUrl, changes);
    const seal = createSeal(secret);
    ask = createRedisCache({ ask, redis, sealOf: () => seal, beginLife, now });
    await available(redis);
  }
  if (maxEntries !== undefined) ask = createMemoryCache({ ask, beginLife, maxEntries, now });
  const fetch = shareInFlight({
    ask,
    answered,
    isOutOfTurns: () => false,
  });
  return {
    ask: (requests, waiter = createWaiter()) => fetch(requests, waiter),
    answered,
    redis,
    changes,
  };
}

export function startConnection(url: string, changes: string[] = []): RedisConnection {
  const redis = createRedisConnection({
    url,
    scripts: [READ, WRITE],
    onChange: (isAvailable, reason) => changes.push(reason ?? (isAvailable ? 'back' : 'away')),
    now,
    random: Math.random,
  });
  onTestFinished(() => redis.close());
  return redis;
}

export function available(redis: RedisConnection): Promise<void> {
  return until(() => redis.availableSinceMs !== undefined);
}

function startClient(onenet: Simulator, connections = 64): AskOtaTasks {
  const transport = createTransport({ origin: onenet.url, timeoutMs: 10_000 });
  onTestFinished(() => transport.close());
  return createOneNetClient({
    transport,
    bulkhead: createBulkhead({ maxConcurrent: connections, maxQueued: 10_000 }),
    circuit: createCircuit(now, () => undefined),
    retryBudget: { countCall: () => undefined, take: () => false },
    authorize: createTokenMint({ ...CREDENTIALS, method: 'sha256', ttlSeconds: 3600, now: Date.now })
      .authorize,
    observer: { attempt: () => undefined, retry: () => undefined, failed: () => undefined },
    now,
    random: Math.random,
  });
}

/** Waits until canceled. */
export interface Waiter extends RequestScope {
  end(reason: 'deadline' | 'disconnected'): void;
}

export function createWaiter(trace?: RequestTrace, deadlineMs = Infinity): Waiter {
  const callbacks: (() => void)[] = [];
  let ended: 'deadline' | 'disconnected' | undefined;
  return {
    deadlineMs,
    cancelReason: () => ended,
    logFields: () => ({ requestId: 'test' }),
    trace,
    onCancel: (callback) => void callbacks.push(callback),
    end(reason) {
      ended = reason;
      for (const callback of callbacks) callback();
    },
  };
}

export function fota(...ids: readonly string[]): OtaTaskRequest[] {
  return ids.map((deviceId) => ({ deviceId, type: 'FOTA', withAddress: false }));
}

export function fotaWithAddress(...ids: readonly string[]): OtaTaskRequest[] {
  return fota(...ids).map((request) => ({ ...request, withAddress: true }));
}

/** The ids of the requested devices, in the order of the calls. */
export function asked({ calls }: Simulator): (string | null)[] {
  return calls.map(({ deviceId }) => deviceId);
}
