import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { faultByName } from '../fault-by-name.ts';
import { devices, entitiesQuery, type Service, startBoth } from '../service.ts';

const SECRET = 'a-secret-of-the-router';
const TASK = entitiesQuery('otaTask(type: FOTA) { size token }');
const RESULT = entitiesQuery('otaTaskResult(type: FOTA) { __typename ... on OtaTaskAbsent { reason } }');

/**
 * The cache hints of an answer: the same on the first request, when the operation is cached, and when graphql-js
 * executes it.
 */
async function cacheControl(
  { url }: Service,
  query: string,
  ...ids: readonly string[]
): Promise<string | string[] | undefined> {
  const hints: (string | string[] | undefined)[] = [];
  // One after the other, because an operation is cached only once it has been answered.
  for (const trace of [{}, {}, { 'apollo-federation-include-trace': 'ftv1' }]) {
    const { headers, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'router-authorization': SECRET, ...trace },
      body: JSON.stringify({ query, variables: { representations: devices(...ids) } }),
    });
    await body.dump();
    hints.push(headers['cache-control']);
  }
  expect(new Set(hints).size, `hints at first, when known, when traced: ${hints.join(' | ')}`).toBe(1);
  return hints[0];
}

function start(environment: Record<string, string>): Promise<Service> {
  return startBoth({ fault: faultByName }, { ROUTER_SECRET: SECRET, ...environment });
}

describe('HTTP caches', () => {
  it('are told nothing unless a maximum age is configured', async () => {
    const service = await start({});
    expect(await cacheControl(service, TASK, 'd1')).toBeUndefined();
    expect(await cacheControl(service, TASK, 'errno-4')).toBeUndefined();
  });

  it.each([
    ['a task', TASK, 'd1'],
    ['a task or its absence', RESULT, 'd1'],
    ['an absence that is data', RESULT, 'errno-4'],
    ['nothing but ids', entitiesQuery('id'), 'd1'],
  ])('may keep %s for the configured time, for the same user only', async (_, query, id) => {
    const service = await start({ CACHE_MAX_AGE_SECONDS: '5' });
    expect(await cacheControl(service, query, id)).toBe('max-age=5, private');
  });

  it('may keep the schema for everybody', async () => {
    const service = await start({ CACHE_MAX_AGE_SECONDS: '5' });
    expect(await cacheControl(service, '{ _service { sdl } }')).toBe('max-age=5, public');
  });

  it.each([
    ['an error', TASK, ['d1', 'errno-4']],
    ['a device that is none', TASK, ['d1', 'no device']],
    ['an operation that cannot be', '{ nothing }', []],
  ])('must not keep an answer with %s', async (_, query, ids) => {
    const service = await start({ CACHE_MAX_AGE_SECONDS: '5' });
    expect(await cacheControl(service, query, ...ids)).toBe('no-store');
  });
});
