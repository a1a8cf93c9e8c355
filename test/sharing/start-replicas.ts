import { onTestFinished } from 'vitest';

import type { RecordedCall, Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { type Sample, scrape, valueOf } from '../metrics-text.ts';
import { CREDENTIALS, type Environment, type ServiceProcess, startProcess } from '../service.ts';
import { startOneNet } from './start-chain.ts';

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
): Promise<Fleet> {
  const times: number[] = [];
  const onenet = await startOneNet({
    credentials: CREDENTIALS,
    fault: (call: RecordedCall) => {
      times.push(performance.now());
      return fault?.(call);
    },
    ...options,
  });
  const replicas = await Promise.all(
    Array.from({ length: count }, () =>
      startProcess({ ONENET_URL: onenet.url, ...environment }, onTestFinished),
    ),
  );
  return { onenet, times, replicas };
}

/** One of them. */
export async function startReplica(environment?: Environment, options?: SimulatorOptions) {
  const { onenet, times, replicas } = await startReplicas(1, environment, options);
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
