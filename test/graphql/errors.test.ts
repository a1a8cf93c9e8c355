import { describe, expect, it } from 'vitest';

import type { Fault } from '../../src/simulator/simulator.ts';
import { askEntities, devices, startBoth, startService } from '../service.ts';

const errno = (number: number): Fault => ({
  kind: 'body',
  body: JSON.stringify({ errno: number, error: CANARY }),
});
const status = (code: number, headers: Record<string, string> = {}): Fault => ({
  kind: 'status',
  status: code,
  headers,
  body: CANARY,
});
const body = (text: string): Fault => ({ kind: 'body', body: text });

/** What upstream says in its errors must be found nowhere. */
const CANARY = 'canary-7f3a';

const FAILURES: readonly [what: string, fault: Fault, code: string, retryable: boolean, errno?: number][] = [
  ['errno 2', errno(2), 'OTA_INVALID_TYPE', false, 2],
  ['errno 7', errno(7), 'ONENET_INTERNAL_ERROR', true, 7],
  ['errno 1', errno(1), 'ONENET_UNKNOWN_ERRNO', false, 1],
  ['errno 5116', errno(5116), 'ONENET_UNKNOWN_ERRNO', false, 5116],
  ['errno -1', errno(-1), 'ONENET_UNKNOWN_ERRNO', false, -1],
  ['HTTP 401', status(401), 'ONENET_UNAUTHORIZED', false],
  ['HTTP 403', status(403), 'ONENET_UNAUTHORIZED', false],
  ['HTTP 429', status(429), 'ONENET_RATE_LIMITED', true],
  ['HTTP 408', status(408), 'ONENET_UNAVAILABLE', true],
  ['HTTP 500', status(500), 'ONENET_UNAVAILABLE', true],
  ['HTTP 503', status(503), 'ONENET_UNAVAILABLE', true],
  ['HTTP 404', status(404), 'ONENET_BAD_RESPONSE', false],
  ['HTTP 204', { kind: 'status', status: 204 }, 'ONENET_BAD_RESPONSE', false],
  ['HTTP 302', status(302, { location: `http://127.0.0.1:9/${CANARY}` }), 'ONENET_BAD_RESPONSE', false],
  ['a 200 with HTML', body(`<html>${CANARY}</html>`), 'ONENET_BAD_RESPONSE', false],
  ['a 200 without data', body(`{"errno":0,"error":"${CANARY}"}`), 'ONENET_BAD_RESPONSE', false],
  [
    'a 500 whose body says errno 4',
    { kind: 'status', status: 500, body: '{"errno":4}' },
    'ONENET_UNAVAILABLE',
    true,
  ],
  ['a reset connection', { kind: 'reset' }, 'ONENET_UNAVAILABLE', true],
  ['no answer in time', { kind: 'stall' }, 'ONENET_TIMEOUT', true],
];
const ABSENCES: readonly [what: string, fault: Fault, code: string, errno: number, reason: string][] = [
  ['errno 4', errno(4), 'OTA_TASK_NOT_FOUND', 4, 'NO_TASK'],
  ['errno 12', errno(12), 'OTA_TOKEN_EXPIRED', 12, 'TOKEN_EXPIRED'],
];

const RESULT = '__typename ... on OtaTask { size } ... on OtaTaskAbsent { reason errno }';

/** One bad device among two good ones. */
function startWithFault(fault: Fault) {
  return startBoth(
    { fault: ({ deviceId }) => (deviceId === 'bad' ? fault : undefined) },
    { ONENET_TIMEOUT_MS: '300' },
  );
}

describe.each(['otaTask', 'otaTaskResult'])('%s', (field) => {
  it.each(FAILURES)(
    'turns %s into the error of that device alone',
    async (_, fault, code, retryable, number) => {
      const service = await startWithFault(fault);
      const selection =
        field === 'otaTask' ? 'otaTask(type: SOTA) { size }' : `otaTaskResult(type: SOTA) { ${RESULT} }`;
      const answer = await askEntities(service, selection, devices('good1', 'bad', 'good2'));
      expect(answer.status).toBe(200);
      expect(answer.body.data._entities[0][field].size).toBeGreaterThan(0);
      expect(answer.body.data._entities[1]).toEqual({ [field]: null });
      expect(answer.body.data._entities[2][field].size).toBeGreaterThan(0);
      expect(answer.body.errors).toEqual([
        {
          message: expect.any(String),
          locations: expect.any(Array),
          path: ['_entities', 1, field],
          extensions: {
            code,
            retryable,
            deviceId: 'bad',
            otaType: 'SOTA',
            ...(number === undefined ? {} : { errno: number }),
          },
        },
      ]);
      expect(answer.text).not.toContain(CANARY);
      expect(JSON.stringify(service.log)).not.toContain(CANARY);
    },
  );
});

describe('a device without a task', () => {
  it.each(ABSENCES)('is an error on otaTask: %s', async (_, fault, code, number) => {
    const service = await startWithFault(fault);
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('bad'));
    expect(answer.data).toEqual({ _entities: [{ otaTask: null }] });
    expect(answer.errors[0].extensions).toEqual({
      code,
      errno: number,
      retryable: false,
      deviceId: 'bad',
      otaType: 'FOTA',
    });
  });

  it.each(ABSENCES)('is data on otaTaskResult: %s', async (_, fault, _code, number, reason) => {
    const service = await startWithFault(fault);
    const { body: answer } = await askEntities(
      service,
      `otaTaskResult(type: FOTA) { ${RESULT} }`,
      devices('bad'),
    );
    expect(answer).toEqual({
      data: { _entities: [{ otaTaskResult: { __typename: 'OtaTaskAbsent', reason, errno: number } }] },
    });
  });
});

describe('an error', () => {
  it('has the same message for a code whatever caused it', async () => {
    const service = await startBoth({
      fault: ({ deviceId }) => (deviceId === 'a' ? status(500) : { kind: 'reset' }),
    });
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('a', 'b'));
    expect(answer.errors[0].message).toBe(answer.errors[1].message);
  });

  it('says that OneNET cannot be reached where nobody listens', async () => {
    const service = await startService('http://127.0.0.1:1');
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('a'));
    expect(answer.errors[0].extensions.code).toBe('ONENET_UNAVAILABLE');
    expect(JSON.stringify(answer)).not.toMatch(/127\.0\.0\.1|ECONN/);
  });

  it('says what was not there by the deadline of the request, and the rest is answered', async () => {
    const service = await startBoth(
      { fault: ({ deviceId }) => (deviceId === 'bad' ? { kind: 'stall' } : undefined) },
      { REQUEST_TIMEOUT_MS: '300' },
    );
    const { body: answer } = await askEntities(
      service,
      'otaTask(type: FOTA) { size }',
      devices('good', 'bad'),
    );
    expect(answer.data._entities[0].otaTask.size).toBeGreaterThan(0);
    expect(answer.errors.map(({ extensions }: { extensions: unknown }) => extensions)).toEqual([
      { code: 'ONENET_TIMEOUT', retryable: true, deviceId: 'bad', otaType: 'FOTA' },
    ]);
  });
});
