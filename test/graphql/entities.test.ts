import { describe, expect, it } from 'vitest';

import { createDemoFleet } from '../../src/simulator/fleet.ts';
import { askEntities, devices, entitiesQuery, post, startBoth } from '../service.ts';

const BAD_USER_INPUT = { code: 'BAD_USER_INPUT', retryable: false };
const device = (id: unknown): unknown => ({ __typename: 'Device', id });

describe('a representation that is not a valid device', () => {
  it.each([
    ['a missing __typename', { id: 'd1' }],
    ['an unknown __typename', { __typename: 'Gadget', id: 'd1' }],
    ['a __typename of another kind', { __typename: 7, id: 'd1' }],
    ['a type of ours that is no entity', { __typename: 'OtaTask', id: 'd1' }],
    ['a property of every object as __typename', { __typename: 'constructor', id: 'd1' }],
    ['a string', 'Device'],
    ['a number', 5],
    ['a boolean', true],
    ['an array', [{ __typename: 'Device', id: 'd1' }]],
    ['an id that is null', device(null)],
    ['no id', { __typename: 'Device' }],
    ['an id that is an object', device({})],
    ['an id that is an array', device(['d1'])],
    ['an id that is a number', device(6523)],
    ['an empty id', device('')],
    ['an id of 65 characters', device('a'.repeat(65))],
    ['an id of 1 MB', device('a'.repeat(1_000_000))],
    ['an id with control characters', device('a\u0000b')],
    ['an id with a line break at its end', device('d1\n')],
    ['an id with CR LF', device('d1\r\nX: y')],
    ['an id with another parameter', device('1&type=2')],
    ['an id with a fragment', device('1#')],
    ['an id with a path', device('../../x')],
    ['an id with a host', device('@evil/')],
    ['an id that is a URL', device('http://169.254.169.254')],
    ['an id in other letters', device('设备')],
  ])('fails alone: %s', async (_, representation) => {
    const service = await startBoth();
    const answer = await askEntities(service, 'id otaTask(type: FOTA) { size }', [
      ...devices('d1'),
      representation,
      ...devices('d2'),
    ]);
    expect(answer.status).toBe(200);
    const [first, bad, last] = answer.body.data._entities;
    expect([first.otaTask.size, last.otaTask.size]).toEqual([expect.any(Number), expect.any(Number)]);
    expect(bad).toBeNull();
    expect(answer.body.errors).toHaveLength(1);
    expect(answer.body.errors[0]).toMatchObject({ path: ['_entities', 1], extensions: BAD_USER_INPUT });
    expect(Object.keys(answer.body.errors[0].extensions).sort()).toEqual(['code', 'retryable']);
    expect(service.onenet.calls.map(({ deviceId }) => deviceId)).toEqual(['d1', 'd2']);
    expect(answer.text.length).toBeLessThan(1000);
  });

  it('may have fields other than the key, which are ignored', async () => {
    const service = await startBoth();
    const { body } = await askEntities(service, 'id', [{ __typename: 'Device', id: 'd1', name: 'x' }]);
    expect(body).toEqual({ data: { _entities: [{ id: 'd1' }] } });
  });
});

describe('a device id', () => {
  it.each(['6523', '007', 'a', 'A-b_9', 'z'.repeat(64)])('is passed on unchanged: %s', async (id) => {
    const service = await startBoth();
    const { body } = await askEntities(service, 'id otaTask(type: SOTA) { size }', devices(id));
    expect(body.data._entities[0].id).toBe(id);
    expect(service.onenet.calls.map(({ path }) => path)).toEqual([`/ota/south/tasking?dev_id=${id}&type=2`]);
  });
});

describe('the example from the documentation', () => {
  it('is returned field by field as documented', async () => {
    const service = await startBoth({ fleet: createDemoFleet({ seed: 'test' }) });
    const { body } = await askEntities(
      service,
      'otaTask(type: FOTA) { target token size signal power retry interval md5 ipPort type downloadUrl }',
      devices('6523'),
    );
    expect(body).toEqual({
      data: {
        _entities: [
          {
            otaTask: {
              target: '1.2',
              token: 'ota_5hc95SFeo5xJEnaNrste',
              size: 123,
              signal: 12,
              power: 90,
              retry: 10,
              interval: 90,
              md5: 'dfkdajkfd',
              ipPort: '172.19.3.3:8002',
              type: 'FULL',
              downloadUrl: 'http://172.19.3.3:8002/ota/download/ota_5hc95SFeo5xJEnaNrste',
            },
          },
        ],
      },
    });
    expect(service.onenet.calls.map(({ path }) => path)).toEqual([
      '/ota/south/tasking?dev_id=6523&type=1&cdn=true',
    ]);
  });
});

describe('a type outside the enum', () => {
  it.each([
    ['written in the query', entitiesQuery('otaTask(type: COTA) { size }'), {}],
    [
      'given by a variable',
      'query ($representations: [_Any!]!, $t: OtaTaskType!) { _entities(representations: $representations) { ... on Device { otaTask(type: $t) { size } } } }',
      { t: 3 },
    ],
  ])('is rejected without a call: %s', async (_, query, variables) => {
    const service = await startBoth();
    const answer = await post(service.url, query, { representations: devices('d1'), ...variables });
    expect(answer.status).toBe(400);
    expect(service.onenet.calls).toHaveLength(0);
  });
});

describe('an operation that asks for too much', () => {
  const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `d${i}`);
  const LIMIT = { MAX_DEVICE_TASKS: '5' };

  it.each([
    ['six devices', 'otaTask(type: FOTA) { size }', ids(6)],
    [
      'both tasks of three devices',
      'a: otaTask(type: FOTA) { size } b: otaTask(type: SOTA) { size }',
      ids(3),
    ],
    ['the task of one device 51 times', 'otaTask(type: FOTA) { size }', Array<string>(51).fill('d0')],
    [
      'two fields for 26 times one device',
      'otaTask(type: FOTA) { size } otaTaskResult(type: FOTA) { __typename }',
      Array<string>(26).fill('d0'),
    ],
  ])('is answered with nulls and without a call: %s', async (_, selection, asked) => {
    const service = await startBoth({}, LIMIT);
    const answer = await askEntities(service, selection, devices(...asked));
    expect(answer.status).toBe(200);
    expect(answer.body.data).toEqual({ _entities: asked.map(() => null) });
    expect(answer.body.errors[0]).toMatchObject({ path: ['_entities', 0] });
    for (const { extensions } of answer.body.errors) {
      expect(extensions).toEqual({ code: 'OPERATION_TOO_LARGE', retryable: false });
    }
    expect(service.onenet.calls).toHaveLength(0);
  });

  it.each([
    ['five devices', 'otaTask(type: FOTA) { size }', ids(5)],
    [
      'five devices with both fields of one type',
      'otaTask(type: FOTA) { size } otaTaskResult(type: FOTA) { __typename }',
      ids(5),
    ],
    ['the task of one device 50 times', 'otaTask(type: FOTA) { size }', Array<string>(50).fill('d0')],
    ['many devices without a task', 'id', ids(100)],
    ['a field that is left out', 'otaTask(type: FOTA) @skip(if: true) { size } id', ids(100)],
  ])('is accepted at the limit: %s', async (_, selection, asked) => {
    const service = await startBoth({}, LIMIT);
    const { body } = await askEntities(service, selection, devices(...asked));
    expect(body.errors).toBeUndefined();
    expect(body.data._entities).toHaveLength(asked.length);
  });

  it('is refused as a whole when only all aliases of _entities together exceed the limit', async () => {
    const service = await startBoth({}, LIMIT);
    const query = `query ($a: [_Any!]!, $b: [_Any!]!) {
      a: _entities(representations: $a) { ... on Device { otaTask(type: FOTA) { size } } }
      b: _entities(representations: $b) { ...F }
      _service { __typename }
    }
    fragment F on Device { otaTask(type: FOTA) { size } }`;
    const variables = { a: devices('d0', 'd1', 'd2'), b: devices('d3', 'd4', 'd5') };
    const { body } = await post(service.url, query, variables);
    expect(body.data).toEqual({
      a: [null, null, null],
      b: [null, null, null],
      _service: { __typename: '_Service' },
    });
    expect(service.onenet.calls).toHaveLength(0);
  });

  it('gets an answer of bounded size: 100 aliases of 1000 devices', async () => {
    const service = await startBoth();
    const aliases = Array.from({ length: 100 }, (_, i) => `a${i}: _entities(representations: $r) { ...F }`);
    const query = `query ($r: [_Any!]!) { ${aliases.join(' ')} } fragment F on Device { otaTask(type: FOTA) { size } }`;
    const { status, body, text } = await post(service.url, query, { r: devices(...ids(1000)) });
    expect(status).toBe(200);
    expect(body.data.a99).toEqual(Array(1000).fill(null));
    expect(text.length).toBeLessThan(3_000_000);
    expect(service.onenet.calls).toHaveLength(0);
  });

  it('is refused for its values even if its tasks are within the limit', async () => {
    const service = await startBoth({}, { MAX_DEVICE_TASKS: '1000' });
    const aliases = Array.from({ length: 200 }, (_, i) => `a${i}: id`).join(' ');
    const { status, body } = await askEntities(service, aliases, devices(...ids(1001)));
    expect(status).toBe(200);
    expect(body.data).toEqual({ _entities: Array(1001).fill(null) });
    expect(body.errors[0].extensions.code).toBe('OPERATION_TOO_LARGE');
  });

  it('is a bad request if even the nulls would be too many: 140 aliases of 5000 representations', async () => {
    const service = await startBoth();
    const aliases = Array.from({ length: 140 }, (_, i) => `a${i}: _entities(representations: $r) { ...F }`);
    const query = `query ($r: [_Any!]!) { ${aliases.join(' ')} } fragment F on Device { otaTask(type: FOTA) { size } }`;
    const { status, body, text } = await post(service.url, query, { r: devices(...ids(5000)) });
    expect(status).toBe(400);
    expect(body.errors[0].extensions).toEqual({ code: 'BAD_REQUEST' });
    expect(text.length).toBeLessThan(50_000);
  });

  it('has an error for each bad representation, up to a limit', async () => {
    const service = await startBoth({}, { MAX_DEVICE_TASKS: '5' });
    const { body } = await askEntities(service, 'id', Array(60).fill(5));
    expect(body.data._entities).toEqual(Array(60).fill(null));
    expect(body.errors).toHaveLength(50);
  });
});
