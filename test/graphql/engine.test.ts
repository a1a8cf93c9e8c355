import { describe, expect, it } from 'vitest';

import { devices, entitiesQuery, post, startBoth } from '../service.ts';

const SECRET = 'a-secret-of-the-router';
const TASK = entitiesQuery('otaTask(type: FOTA) { size }');
const TRACED = { 'apollo-federation-include-trace': 'ftv1' };

describe('an operation', () => {
  it.each<[string, string | undefined, string, Record<string, string>?]>([
    ['entities', 'plan', TASK],
    [
      'entities under several aliases',
      'plan',
      TASK.replace('_entities', 'a: __typename @skip(if: true) _entities'),
    ],
    [
      'entities in a request that OpenTelemetry traces',
      'plan',
      TASK,
      { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
    ],
    ["entities with Apollo's trace", 'graphql-js', TASK, TRACED],
    ['entities and __typename', 'plan', TASK.replace('_entities', '__typename _entities')],
    ['entities and something else', 'graphql-js', TASK.replace('_entities', '_service { sdl } _entities')],
    ['the schema', 'graphql-js', '{ _service { sdl } }'],
    ['introspection', 'graphql-js', '{ __schema { queryType { name } } }'],
    ['nothing that is valid', undefined, '{ nothing }'],
  ])('that asks for %s is executed by: %s', async (_, engine, query, headers = {}) => {
    const service = await startBoth({}, { ROUTER_SECRET: SECRET, SANDBOX: 'true', LOG_LEVEL: 'debug' });
    // The same on the first request and when the operation is cached.
    for (let i = 0; i < 2; i++) {
      await post(
        service.url,
        query,
        { representations: devices('d1') },
        { 'router-authorization': SECRET, ...headers },
      );
    }
    const ended = () => service.log.filter(({ msg }) => msg === 'request ended');
    await expect.poll(ended).toHaveLength(2);
    for (const line of ended()) expect(line['engine']).toBe(engine);
  });
});
