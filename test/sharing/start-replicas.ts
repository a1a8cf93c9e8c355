import { onTestFinished } from 'vitest';

import { createUniformFleet } from '../../src/simulator/fleet.ts';
import {
  createSimulator,
  type RecordedCall,
  type Simulator,
  type SimulatorOptions,
} from '../../src/simulator/simulator.ts';
import { type Sample, scrape, valueOf } from '../metrics-text.ts';
import { CREDENTIALS, type Environment, type ServiceProcess, startProcess, type Until } from '../service.ts';
import { until } from '../until.ts';

export interface Fleet {
  readonly onenet: Simulator;
  /** When each call came to OneNET, in milliseconds of `performance.now()`. */
  readonly times: readonly number[];
  readonly replicas: readonly ServiceProcess[];
}

/** Replicas as processes of their own, in front of one OneNET. */
export async function startReplicas(
  count: number,
  environment: Environment = {},
  { fault, ...options }: SimulatorOptions = {},
  atEnd: Until = onTestFinished,
): Promise<Fleet> {
  const times: number[] = [];
  const onenet = await createSimulator({
    credentials: CREDENTIALS,
    fleet: createUniformFleet({ seed: 'test' }),
    fault: (call: RecordedCall) => {
      times.push(performance.now());
      return fault?.(call);
    },
    ...options,
  });
  atEnd(() => onenet.close());
  const replicas = await Promise.all(
    Array.from({ length: count }, () => startProcess({ ONENET_URL: onenet.url, ...environment }, atEnd)),
  );
  return { onenet, times, replicas };
}

/** One of them. */
export async function startReplica(environment?: Environment, options?: SimulatorOptions, atEnd?: Until) {
  const { onenet, times, replicas } = await startReplicas(1, environment, options, atEnd);
  return { onenet, times, service: replicas[0] as ServiceProcess };
}

export function pairsIn(samples: readonly Sample[]): Record<string, number | undefined> {
  const sources = ['onenet', 'in_flight', 'memory', 'redis'];
  return Object.fromEntries(
    sources.map((source) => [source, valueOf(samples, 'onenet_ota_pairs_total', { source })]),
  );
}

export async function gauge(service: Pick<ServiceProcess, 'url'>, name: string): Promise<number | undefined> {
  return valueOf(await scrape(service), name);
}

/** Resolves when all of them use Redis. */
export async function redisAvailable(replicas: readonly Pick<ServiceProcess, 'url'>[]): Promise<void> {
  for (const replica of replicas) {
    await until(async () => (await gauge(replica, 'onenet_ota_redis_available')) === 1);
  }
}
