// What an experienced team adds from npm before a server goes to production, each as its documentation shows it.
import { randomUUID } from 'node:crypto';

import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import underPressure from '@fastify/under-pressure';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import type { ValidationRule } from 'graphql';
import CircuitBreaker from 'opossum';
import { collectDefaultMetrics, Histogram, register } from 'prom-client';
import { interceptors, Pool } from 'undici';

import {
  CONNECTIONS,
  type FetchOtaTask,
  HEADERS,
  taskingPath,
  type TaskingAnswer,
  toOtaTask,
  upstreamOrigin,
} from './onenet.ts';

/** Of a call with its retry and its wait for a connection; ours allows a request as much. */
const DEADLINE_MS = 10_000;

export const LIMITS = [maxDepthRule({ n: 20 }), maxAliasesRule({ n: 200 })] as unknown as ValidationRule[];

/** Logs with request ids, but, as ours does, no line for a request that succeeds. */
export async function createApp(): Promise<FastifyInstance> {
  const app = fastify({
    logger: true,
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: 'x-request-id',
    genReqId: () => randomUUID(),
  });
  await app.register(underPressure, { maxEventLoopDelay: 1000 });

  collectDefaultMetrics();
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Requests by status',
    labelNames: ['status_code'],
  });
  app.addHook('onResponse', async (_, reply) => {
    durations.observe({ status_code: reply.statusCode }, reply.elapsedTime / 1000);
  });
  app.get('/metrics', async (_, reply) => reply.type(register.contentType).send(await register.metrics()));
  return app;
}

/** With a deadline, a retry, a circuit and a histogram. */
export function createGuardedFetch(): FetchOtaTask {
  const pool = new Pool(upstreamOrigin(), { connections: CONNECTIONS }).compose(
    interceptors.retry({ maxRetries: 1 }),
  );
  const durations = new Histogram({
    name: 'onenet_request_duration_seconds',
    help: 'Calls to OneNET by status',
    labelNames: ['status_code'],
  });
  const fetchOtaTask: FetchOtaTask = async (deviceId, type) => {
    const end = durations.startTimer();
    const { statusCode, body } = await pool.request({
      method: 'GET',
      path: taskingPath(deviceId, type),
      headers: HEADERS,
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    end({ status_code: statusCode });
    if (statusCode !== 200) throw new Error(`HTTP status ${statusCode}`);
    return toOtaTask((await body.json()) as TaskingAnswer);
  };
  // The signal is the deadline already.
  const circuit = new CircuitBreaker(fetchOtaTask, {
    timeout: false,
    errorThresholdPercentage: 50,
    resetTimeout: 5000,
    volumeThreshold: 20,
  });
  return (deviceId, type) => circuit.fire(deviceId, type);
}
