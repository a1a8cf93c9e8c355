import { describe, expect, it, onTestFinished } from 'vitest';

import { readConfig } from '../../src/config/config.ts';
import { createGraphQLServer } from '../../src/graphql/server.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { FetchOtaTasks } from '../../src/ask-ota-tasks.ts';
import { askEntities, devices, type LogLine, type Service } from '../service.ts';

const SECRET = 'a-secret-of-the-router';

/** The service on top of a link that fails in a way that real ones never do. */
async function startOver(fetchOtaTasks: FetchOtaTasks): Promise<Service> {
  const log: LogLine[] = [];
  const logger = createLogger(readConfig({ ONENET_AUTHORIZATION: 'token' }), {
    write: (line) => log.push(JSON.parse(line) as LogLine),
  });
  const graphql = createGraphQLServer({
    fetchOtaTasks,
    maxDeviceTasks: 10,
    schema: { productField: undefined, secretFieldScopes: undefined },
    isProduct: () => false,
    sandbox: false,
    example: { document: '', variables: {}, headers: {} },
    federatedTrace: true,
    cacheMaxAgeSeconds: 0,
    logger,
  });
  const http = createHttpServer({
    graphql,
    maxDeviceTasks: 1000,
    requestTimeoutMs: 1000,
    routerSecret: SECRET,
    sandbox: false,
    isReady: () => true,
    traceRequest: undefined,
    metrics: createMetrics({
      callsInFlight: () => 0,
      callsQueued: () => 0,
      quotaWaiting: () => 0,
      pairsAnswered: {},
      isRedisAvailable: undefined,
      circuitState: () => 'closed',
      tokenSource: 'ready',
      tokenExpiry: () => undefined,
    }),
    logger,
  });
  const address = await http.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(async () => {
    await http.close();
    await graphql.stop();
  });
  return { url: `${address}/graphql`, log };
}

describe('an unforeseen error', () => {
  it.each<[string, FetchOtaTasks]>([
    ['for one device', () => Promise.resolve([new TypeError('of a very private nature')])],
    ['for all of them', () => Promise.reject(new TypeError('of a very private nature'))],
  ])('is masked and logged with its request, whichever engine executes it: %s', async (_, fetchOtaTasks) => {
    const service = await startOver(fetchOtaTasks);
    const ask = (id: string, headers = {}) =>
      askEntities(service, 'otaTask(type: FOTA) { size }', devices('d1'), {
        'router-authorization': SECRET,
        'x-request-id': id,
        ...headers,
      });
    const answers = [
      await ask('first'),
      await ask('known'),
      await ask('traced', { 'apollo-federation-include-trace': 'ftv1' }),
    ];
    for (const { status, text, body } of answers) {
      expect([status, body.data]).toEqual([200, { _entities: [{ otaTask: null }] }]);
      expect(body.errors).toEqual([
        {
          message: 'Internal server error.',
          locations: [expect.anything()],
          path: ['_entities', 0, 'otaTask'],
          extensions: { code: 'INTERNAL_SERVER_ERROR', retryable: false, deviceId: 'd1', otaType: 'FOTA' },
        },
      ]);
      expect(text).not.toContain('private');
    }
    expect(service.log).toMatchObject(
      ['first', 'known', 'traced'].map((requestId) => ({
        level: 50,
        msg: 'unforeseen error, masked',
        requestId,
        path: ['_entities', 0, 'otaTask'],
        err: {
          type: 'TypeError',
          message: 'of a very private nature',
          stack: expect.stringContaining('.ts'),
        },
      })),
    );
  });
});
