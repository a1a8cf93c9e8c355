import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { devices, type Service, startBoth } from '../service.ts';

const QUERY =
  'query Tasks($r: [_Any!]!, $type: OtaTaskType = FOTA) { _entities(representations: $r) { ... on Device { otaTask(type: $type) { size } } } }';
const VARIABLES = { r: devices('d1', 'd2') };

/** Everything that a client sees of an answer. */
async function send(
  { url }: Service,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const answer = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return {
    status: answer.statusCode,
    contentType: answer.headers['content-type'],
    cacheControl: answer.headers['cache-control'],
    text: await answer.body.text(),
  };
}

describe('an operation that is in the cache', () => {
  const plain = { query: QUERY, variables: VARIABLES };

  it.each<[string, unknown, Record<string, string>?]>([
    ['as it was', plain],
    ['with its name', { ...plain, operationName: 'Tasks' }],
    ['with no name', { ...plain, operationName: null }],
    ['with an empty name', { ...plain, operationName: '' }],
    ["with another operation's name", { ...plain, operationName: 'Other' }],
    ['with a name that is none', { ...plain, operationName: 7 }],
    ['with other variables', { query: QUERY, variables: { r: devices('d3'), type: 'SOTA' } }],
    ['with more variables', { query: QUERY, variables: { ...VARIABLES, more: 1 } }],
    ['with a variable of a wrong type', { query: QUERY, variables: { ...VARIABLES, type: 'NONE' } }],
    ['with a representation that is none', { query: QUERY, variables: { r: [7] } }],
    ['with a representation that is null', { query: QUERY, variables: { r: [null] } }],
    ['with no representations', { query: QUERY, variables: { r: [] } }],
    ['with one representation without a list', { query: QUERY, variables: { r: devices('d1')[0] } }],
    ['with too many representations', { query: QUERY, variables: { r: Array(2000).fill(devices('d1')[0]) } }],
    ['without variables', { query: QUERY }],
    ['with null for variables', { query: QUERY, variables: null }],
    ['with a list of variables', { query: QUERY, variables: [] }],
    ['with a text of variables', { query: QUERY, variables: '{}' }],
    ['with extensions', { ...plain, extensions: {} }],
    ['with extensions that are none', { ...plain, extensions: 'x' }],
    [
      'as a persisted one',
      { ...plain, extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } },
    ],
    ['in a list', [plain]],
    ['with a space more', { ...plain, query: `${QUERY} ` }],
    ['for GraphQL media', plain, { accept: 'application/graphql-response+json' }],
    ['for any media', plain, { accept: '*/*' }],
    ['for either media', plain, { accept: 'application/json;q=0.5, application/graphql-response+json' }],
    ['for no media that there is', plain, { accept: 'text/plain' }],
    ['for a page', plain, { accept: 'text/html' }],
    ['with a trace', plain, { 'apollo-federation-include-trace': 'ftv1' }],
  ])('is answered as if it were new: %s', async (_, body, headers) => {
    const environment = { MAX_DEVICE_TASKS: '100' };
    const first = await send(await startBoth({}, environment), body, headers);
    const service = await startBoth({}, environment);
    await send(service, plain);
    await send(service, plain, headers);
    expect(await send(service, body, headers)).toEqual(first);
    expect(await send(service, body, headers)).toEqual(first);
  });

  it('is chosen among several only if the request names it', async () => {
    const service = await startBoth();
    const query = `${QUERY} query Ids($r: [_Any!]!) { _entities(representations: $r) { ... on Device { id } } }`;
    const ask = (operationName?: string): Promise<unknown> =>
      send(service, { query, operationName, variables: { r: devices('d1') } });
    for (let i = 0; i < 2; i++) {
      expect(await ask('Tasks')).toMatchObject({ text: expect.stringContaining('"otaTask"') });
      expect(await ask('Ids')).toMatchObject({ text: '{"data":{"_entities":[{"id":"d1"}]}}\n' });
      expect(await ask()).toMatchObject({ status: 400 });
    }
  });

  it('may be one of more than the cache holds', async () => {
    const service = await startBoth();
    for (const round of [1, 2]) {
      for (let i = 0; i < 600; i++) {
        const query = `query ($r: [_Any!]!) { a${i}: _entities(representations: $r) { ... on Device { id } } }`;
        const answer = await send(service, { query, variables: { r: devices(`d${round}`) } });
        expect(answer).toMatchObject({ text: `{"data":{"a${i}":[{"id":"d${round}"}]}}\n` });
      }
    }
  });
});
