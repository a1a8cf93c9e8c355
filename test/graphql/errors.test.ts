import { describe, expect, it } from 'vitest';

import type { Fault } from '../../src/simulator/simulator.ts';
import { byCause, CANARY, FAILURES } from '../failures.ts';
import { askEntities, devices, startBoth, startService } from '../service.ts';

const ERRORS = byCause(FAILURES.filter(({ absence }) => absence === undefined));
const ABSENCES = byCause(FAILURES.filter(({ absence }) => absence !== undefined));

const RESULT = '__typename ... on OtaTask { size } ... on OtaTaskAbsent { reason errno }';

/** One failing device between two good ones. */
function startWithFault(fault: Fault) {
  return startBoth(
    { fault: ({ deviceId }) => (deviceId === 'bad' ? fault : undefined) },
    { ONENET_TIMEOUT_MS: '1000' },
  );
}

describe.each(['otaTask', 'otaTaskResult'])('%s', (field) => {
  it.each(ERRORS)(
    'turns %s into an error of that device only',
    async (_, { fault, code, retryable, errno }) => {
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
            ...(errno === undefined ? {} : { errno }),
          },
        },
      ]);
      expect(answer.text).not.toContain(CANARY);
      expect(JSON.stringify(service.log)).not.toContain(CANARY);
    },
  );
});

describe('a device without a task', () => {
  it.each(ABSENCES)('is an error on otaTask: %s', async (_, { fault, code, errno }) => {
    const service = await startWithFault(fault);
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('bad'));
    expect(answer.data).toEqual({ _entities: [{ otaTask: null }] });
    expect(answer.errors[0].extensions).toEqual({
      code,
      errno,
      retryable: false,
      deviceId: 'bad',
      otaType: 'FOTA',
    });
  });

  it.each(ABSENCES)('is data on otaTaskResult: %s', async (_, { fault, absence, errno }) => {
    const service = await startWithFault(fault);
    const { body: answer } = await askEntities(
      service,
      `otaTaskResult(type: FOTA) { ${RESULT} }`,
      devices('bad'),
    );
    expect(answer).toEqual({
      data: { _entities: [{ otaTaskResult: { __typename: 'OtaTaskAbsent', reason: absence, errno } }] },
    });
  });
});

describe('an error', () => {
  it('has the same message for a code, whatever the cause', async () => {
    const service = await startBoth({
      fault: ({ deviceId }) => (deviceId === 'a' ? { kind: 'status', status: 500 } : { kind: 'reset' }),
    });
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('a', 'b'));
    expect(answer.errors[0].message).toBe(answer.errors[1].message);
  });

  it('says that OneNET cannot be reached if nothing listens there', async () => {
    const service = await startService('http://127.0.0.1:1');
    const { body: answer } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('a'));
    expect(answer.errors[0].extensions.code).toBe('ONENET_UNAVAILABLE');
    expect(JSON.stringify(answer)).not.toMatch(/127\.0\.0\.1|ECONN/);
  });

  it('names what was missing at the deadline of the request, and the rest is answered', async () => {
    const service = await startBoth(
      { fault: ({ deviceId }) => (deviceId === 'bad' ? { kind: 'stall' } : undefined) },
      { REQUEST_TIMEOUT_MS: '1000' },
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
