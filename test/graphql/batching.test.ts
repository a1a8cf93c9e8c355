import { describe, expect, it } from 'vitest';

import type { RecordedCall } from '../../src/simulator/simulator.ts';
import { askEntities, devices, entitiesQuery, post, startBoth } from '../service.ts';

const ids = (count: number, prefix = 'd'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const pairOf = ({ deviceId, type }: RecordedCall): string => `${deviceId ?? ''}/${type ?? ''}`;

describe('the calls made for an operation', () => {
  it('are 10 for 1000 representations of 10 devices, answered in order', async () => {
    const service = await startBoth();
    const asked = Array.from({ length: 1000 }, (_, i) => `d${i % 10}`);
    const { body } = await askEntities(service, 'id otaTask(type: FOTA) { token }', devices(...asked));
    expect(body.errors).toBeUndefined();
    expect(body.data._entities.map(({ id }: { id: string }) => id)).toEqual(asked);
    expect(service.onenet.calls).toHaveLength(10);
    const tokens = body.data._entities.map((entity: { otaTask: { token: string } }) => entity.otaTask.token);
    expect(new Set(tokens).size).toBe(10);
    expect(tokens).toEqual(asked.map((_, i) => tokens[i % 10]));
  });

  it('are 200 for both tasks of 100 devices', async () => {
    const service = await startBoth();
    await askEntities(
      service,
      'f: otaTask(type: FOTA) { size } s: otaTask(type: SOTA) { size }',
      devices(...ids(100)),
    );
    expect(service.onenet.calls).toHaveLength(200);
    expect(new Set(service.onenet.calls.map(pairOf)).size).toBe(200);
  });

  it('are one per pair, however often and wherever the operation asks for it', async () => {
    const service = await startBoth();
    const query = `query ($r: [_Any!]!, $t: OtaTaskType!) {
      a: _entities(representations: $r) { ... on Device { otaTask(type: FOTA) { size } again: otaTask(type: $t) { md5 } } }
      b: _entities(representations: $r) { ... on Device { otaTaskResult(type: FOTA) { ... on OtaTask { token } } } }
      c: _entities(representations: [{ __typename: "Device", id: "d0" }]) { ...F }
    }
    fragment F on Device { otaTask(type: FOTA) { target } }`;
    const { body } = await post(service.url, query, { r: devices('d0'), t: 'FOTA' });
    expect(body.errors).toBeUndefined();
    expect(service.onenet.calls.map(pairOf)).toEqual(['d0/1']);
  });

  it('are one for a pair that fails, and every field that asked gets its error', async () => {
    const service = await startBoth({ fault: () => ({ kind: 'body', body: '{"errno":26}' }) });
    const { body } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d0', 'd0'));
    expect(body.errors.map(({ path }: { path: unknown }) => path)).toEqual([
      ['_entities', 0, 'otaTask'],
      ['_entities', 1, 'otaTask'],
    ]);
    expect(service.onenet.calls).toHaveLength(1);
  });

  it('are none if only the id is selected', async () => {
    const service = await startBoth();
    const { body } = await askEntities(service, 'id', devices('d0'));
    expect(body).toEqual({ data: { _entities: [{ id: 'd0' }] } });
    expect(service.onenet.calls).toHaveLength(0);
  });

  it('are repeated for the next operation: nothing is cached between requests', async () => {
    const service = await startBoth();
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d0'));
    await askEntities(service, 'otaTask(type: FOTA) { size }', devices('d0'));
    expect(service.onenet.calls).toHaveLength(2);
  });

  it('are made concurrently, but never more at once than there are connections', async () => {
    const service = await startBoth({ latencyMs: 20 }, { ONENET_CONNECTIONS: '7' });
    const { body } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices(...ids(50)));
    expect(body.errors).toBeUndefined();
    expect(service.onenet.mostInFlight).toBe(7);
  });
});

describe('cdn=true', () => {
  const FRAGMENTS = `
    fragment WithUrl on OtaTask { downloadUrl }
    fragment Without on OtaTask { size }
    fragment Nested on Device { otaTask(type: FOTA) { ... { ...WithUrl } } }
  `;
  it.each([
    ['ipPort', 'otaTask(type: FOTA) { ipPort }'],
    ['downloadUrl', 'otaTask(type: FOTA) { downloadUrl }'],
    ['an aliased ipPort', 'otaTask(type: FOTA) { size: size address: ipPort }'],
    ['downloadUrl in a named fragment', 'otaTask(type: FOTA) { ...WithUrl }'],
    ['downloadUrl in a fragment of a fragment', '...Nested'],
    ['ipPort in an inline fragment', 'otaTask(type: FOTA) { ... on OtaTask { ipPort } }'],
    ['ipPort under @include of true', 'otaTask(type: FOTA) { size ipPort @include(if: $yes) }'],
    ['ipPort under @skip of false', 'otaTask(type: FOTA) { size ipPort @skip(if: $no) }'],
    ['a fragment under @include of true', 'otaTask(type: FOTA) { size ... @include(if: $yes) { ipPort } }'],
    ['ipPort of the result', 'otaTaskResult(type: FOTA) { ... on OtaTask { ipPort } }'],
    [
      'downloadUrl of the result',
      'otaTaskResult(type: FOTA) { ... on OtaTaskResult { ... on OtaTask { downloadUrl } } }',
    ],
    [
      'ipPort in the second of two merged fields',
      'otaTask(type: FOTA) { size } otaTask(type: FOTA) { ipPort }',
    ],
    ['ipPort by only one of two askers', 'a: otaTask(type: FOTA) { size } b: otaTask(type: FOTA) { ipPort }'],
    ['ipPort by the result only', 'otaTask(type: FOTA) { size } otaTaskResult(type: FOTA) { ...WithUrl }'],
  ])('is sent once for %s', async (_, selection) => {
    const service = await startBoth();
    const { body } = await post(service.url, query(selection), { r: devices('d0'), yes: true, no: false });
    expect(body.errors).toBeUndefined();
    expect(service.onenet.calls.map(({ cdn }) => cdn)).toEqual(['true']);
    expect(JSON.stringify(body.data)).toContain(service.onenet.url.slice('http://'.length));
  });

  it.each([
    ['neither field', 'otaTask(type: FOTA) { size token md5 }'],
    ['__typename alone', 'otaTask(type: FOTA) { __typename }'],
    ['a field aliased to ipPort', 'otaTask(type: FOTA) { ipPort: target }'],
    ['ipPort under @include of false', 'otaTask(type: FOTA) { size ipPort @include(if: $no) }'],
    ['ipPort under @skip of true', 'otaTask(type: FOTA) { size ipPort @skip(if: $yes) }'],
    ['a fragment under @skip of true', 'otaTask(type: FOTA) { size ...WithUrl @skip(if: $yes) }'],
    [
      'an inline fragment under @include of false',
      'otaTask(type: FOTA) { size ... @include(if: $no) { ipPort } }',
    ],
    [
      'ipPort where only an absent task could be',
      'otaTaskResult(type: FOTA) { __typename ... on OtaTaskAbsent { ... on OtaTaskResult { ...WithUrl } } }',
    ],
    [
      'an asker that is itself left out',
      'otaTask(type: FOTA) { size } b: otaTask(type: FOTA) @skip(if: $yes) { ipPort }',
    ],
    ['a fragment without them', 'otaTask(type: FOTA) { ...Without }'],
  ])('is not sent for %s', async (_, selection) => {
    const service = await startBoth();
    const { body } = await post(service.url, query(selection), { r: devices('d0'), yes: true, no: false });
    expect(body.errors).toBeUndefined();
    expect(service.onenet.calls.map(({ path }) => path)).toEqual(['/ota/south/tasking?dev_id=d0&type=1']);
  });

  it('is sent only for pairs whose address is selected', async () => {
    const service = await startBoth();
    const text = `query ($a: [_Any!]!, $b: [_Any!]!) {
      a: _entities(representations: $a) { ... on Device { f: otaTask(type: FOTA) { size } s: otaTask(type: SOTA) { ipPort } } }
      b: _entities(representations: $b) { ... on Device { otaTask(type: FOTA) { downloadUrl } } }
    }`;
    await post(service.url, text, { a: devices('d0', 'd1'), b: devices('d1', 'd2') });
    expect(Object.fromEntries(service.onenet.calls.map((call) => [pairOf(call), call.cdn]))).toEqual({
      'd0/1': null,
      'd0/2': 'true',
      'd1/1': 'true',
      'd1/2': 'true',
      'd2/1': 'true',
    });
  });

  /** Removes unused fragments and variables, which would make the operation invalid. */
  function query(selection: string): string {
    const text = entitiesQuery(selection).replace(
      '($representations: [_Any!]!)',
      `($r: [_Any!]!${selection.includes('$yes') ? ', $yes: Boolean!' : ''}${selection.includes('$no') ? ', $no: Boolean!' : ''})`,
    );
    const used = FRAGMENTS.trim()
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => {
        const name = /fragment (\w+)/.exec(line)?.[1] ?? '';
        return selection.includes(`...${name}`) || (name === 'WithUrl' && selection.includes('...Nested'));
      });
    return `${text.replace('$representations', '$r')}\n${used.join('\n')}`;
  }
});
