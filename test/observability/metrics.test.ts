import fc from 'fast-check';
import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { signToken } from '../../src/onenet/authorization.ts';
import { faultByName } from '../fault-by-name.ts';
import { type Sample, scrape, valueOf } from '../metrics-text.ts';
import { askEntities, CREDENTIALS, devices, launch, post, type Service, startBoth } from '../service.ts';

const FIELD = 'otaTask(type: FOTA) { size }';

async function send(
  { url }: Service,
  method: 'POST' | 'PUT' | 'GET',
  body?: string,
  contentType = 'application/json',
): Promise<number> {
  const answer = await request(url, {
    method,
    headers: { 'content-type': contentType },
    body: body ?? null,
  });
  await answer.body.dump();
  return answer.statusCode;
}

describe('the metrics of requests', () => {
  const REQUESTS = 'onenet_ota_request_duration_seconds_count';

  /** Request counts by outcome, without those that are zero. */
  async function outcomesOf(service: Service): Promise<Record<string, number>> {
    const samples = (await scrape(service)).filter(({ name, value }) => name === REQUESTS && value > 0);
    return Object.fromEntries(samples.map(({ labels, value }) => [labels['outcome'], value]));
  }

  it.each<[string, readonly string[], string]>([
    ['an answer without errors', ['d1', 'd2'], 'ok'],
    ['an answer with data and errors', ['d1', 'errno-4'], 'partial'],
    ['an answer in which every device has an error', ['errno-4', 'errno-7'], 'partial'],
  ])('count by outcome: %s', async (_, ids, outcome) => {
    const service = await startBoth({ fault: faultByName });
    await askEntities(service, FIELD, devices(...ids));
    expect(await outcomesOf(service)).toEqual({ [outcome]: 1 });
  });

  it('count by outcome: an answer with only errors', async () => {
    const service = await startBoth();
    const query = 'query ($skip: Boolean = true) { __typename @skip(if: $skip) }';
    const { status, body } = await post(service.url, query, { skip: null });
    expect([status, body.data]).toEqual([200, null]);
    expect(await outcomesOf(service)).toEqual({ failed: 1 });
  });

  it.each<[string, 'POST' | 'PUT' | 'GET', string | undefined, string, number]>([
    ['a syntax error', 'POST', '{"query":"{"}', 'application/json', 400],
    ['a body that is no JSON', 'POST', '{', 'application/json', 400],
    ['another media type', 'POST', '{}', 'text/plain', 415],
    ['another method', 'PUT', '{}', 'application/json', 405],
    ['an operation in the address', 'GET', undefined, 'application/json', 405],
  ])('count by outcome and status: %s', async (_, method, body, contentType, status) => {
    const service = await startBoth();
    expect(await send(service, method, body, contentType)).toBe(status);
    expect(await outcomesOf(service)).toEqual({ refused: 1 });
    const refusals = { status: String(status) };
    expect(valueOf(await scrape(service), 'onenet_ota_requests_refused_total', refusals)).toBe(1);
  });

  it('count by outcome and status: a missing secret', async () => {
    const service = await startBoth({}, { ROUTER_SECRET: 'sixteen-characters' });
    await askEntities(service, FIELD, devices('d1'));
    expect(await outcomesOf(service)).toEqual({ refused: 1 });
    expect(valueOf(await scrape(service), 'onenet_ota_requests_refused_total', { status: '401' })).toBe(1);
  });

  it('show requests in flight and queued calls, and count a client that disconnects as aborted', async () => {
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const service = await startBoth(
      {
        fault: () => {
          arrive();
          return { kind: 'stall' };
        },
      },
      { ONENET_CONNECTIONS: '1' },
    );
    const underWay = async (): Promise<(number | undefined)[]> => {
      const samples = await scrape(service);
      return ['requests_in_flight', 'upstream_in_flight', 'upstream_waiting'].map((name) =>
        valueOf(samples, `onenet_ota_${name}`),
      );
    };
    expect(await underWay()).toEqual([0, 0, 0]);
    const client = new AbortController();
    const answer = request(service.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${FIELD} } } }`,
        variables: { r: devices('d1', 'd2', 'd3') },
      }),
      signal: client.signal,
    });
    await arrived;
    expect(await underWay()).toEqual([1, 1, 2]);
    client.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(underWay).toEqual([0, 0, 0]);
    expect(await outcomesOf(service)).toEqual({ aborted: 1 });
  });

  it('leave out probes, scrapes and other paths', async () => {
    const service = await startBoth();
    for (const path of ['/livez', '/readyz', '/metrics', '/elsewhere']) {
      await (await request(new URL(path, service.url))).body.dump();
    }
    expect(await outcomesOf(service)).toEqual({});
  });

  it('count the errors in answers by code', async () => {
    const service = await startBoth({ fault: faultByName });
    await askEntities(service, FIELD, devices('errno-4', 'status-401', 'd1', 'errno-4', 'errno-12', 'a b'));
    await askEntities(service, FIELD, devices('errno-4'));
    await post(service.url, '{ nothing }');
    const counted = (await scrape(service)).filter(
      ({ name, value }) => name === 'onenet_ota_errors_total' && value > 0,
    );
    expect(Object.fromEntries(counted.map(({ labels, value }) => [labels['code'], value]))).toEqual({
      OTA_TASK_NOT_FOUND: 3,
      OTA_TOKEN_EXPIRED: 1,
      ONENET_UNAUTHORIZED: 1,
      BAD_USER_INPUT: 1,
      GRAPHQL_VALIDATION_FAILED: 1,
    });
  });
});

describe('the metrics of calls to OneNET', () => {
  const ATTEMPTS = 'onenet_ota_upstream_attempt_duration_seconds_count';
  const ANSWERS = 'onenet_ota_upstream_answers_total';

  it.each([
    ['a task', 'd1', 'task', '0'],
    ['no task', 'errno-4', 'absent', '4'],
    ['a refusal that the document names', 'errno-2', 'invalid-type', '2'],
    ['a refusal that it does not name', 'errno-5116', 'unknown-errno', 'other'],
    ['an answer that cannot be read', 'errno-0', 'bad-response', undefined],
    ['credentials that OneNET does not accept', 'status-403', 'unauthorized', undefined],
  ])('count by result and errno: %s', async (_, id, result, errno) => {
    const service = await startBoth({ fault: faultByName });
    await askEntities(service, FIELD, devices(id));
    const samples = await scrape(service);
    expect(valueOf(samples, ATTEMPTS, { result })).toBe(1);
    const answers = samples.filter(({ name }) => name === ANSWERS).map(({ labels }) => labels['errno']);
    expect(answers).toEqual(errno === undefined ? [] : [errno]);
  });

  it('count retries, and each attempt', async () => {
    const service = await startBoth({ fault: faultByName });
    await askEntities(service, FIELD, devices('reset-1'));
    const samples = await scrape(service);
    expect(valueOf(samples, 'onenet_ota_upstream_retries_total')).toBe(1);
    expect(valueOf(samples, ATTEMPTS, { result: 'connection' })).toBe(2);
  });

  it('have buckets up to the longest configurable deadline', async () => {
    const service = await startBoth();
    await askEntities(service, FIELD, devices('d1'));
    const samples = await scrape(service);
    for (const name of ['request', 'upstream_attempt']) {
      const buckets = samples.filter(
        (sample) => sample.name === `onenet_ota_${name}_duration_seconds_bucket`,
      );
      const bounds = buckets.map(({ labels }) => Number(labels['le'])).filter(Number.isFinite);
      expect(Math.min(...bounds)).toBeLessThan(0.05);
      expect(Math.max(...bounds)).toBeGreaterThanOrEqual(60);
      expect(bounds.some((bound) => bound > 10 && bound < 60)).toBe(true);
    }
  });

  it('show the state of the circuit', async () => {
    const service = await startBoth({ fault: faultByName });
    const stateOf = async (): Promise<unknown> => {
      const samples = await scrape(service);
      const states = samples.filter(({ name }) => name === 'onenet_ota_upstream_circuit_state');
      return Object.fromEntries(states.map(({ labels, value }) => [labels['state'], value]));
    };
    expect(await stateOf()).toEqual({ closed: 1, 'half-open': 0, open: 0 });
    await askEntities(service, FIELD, devices(...Array.from({ length: 30 }, (_, i) => `status-500-${i}`)));
    expect(await stateOf()).toEqual({ closed: 0, 'half-open': 0, open: 1 });
  });

  it('are collected without a call to OneNET', async () => {
    const service = await startBoth();
    await scrape(service);
    expect(service.onenet.calls).toHaveLength(0);
  });
});

describe('the metric of the token', () => {
  const expiryIn = (samples: readonly Sample[], source: string): number | undefined =>
    valueOf(samples, 'onenet_ota_token_expiry_timestamp_seconds', { source });

  it('shows when the minted token expires, as soon as there is one', async () => {
    const service = await startBoth({}, { ONENET_TOKEN_TTL_SECONDS: '500' });
    expect(expiryIn(await scrape(service), 'minted')).toBeUndefined();
    await askEntities(service, FIELD, devices('d1'));
    const token = new URLSearchParams(service.onenet.calls[0]?.headers.authorization);
    expect(expiryIn(await scrape(service), 'minted')).toBe(Number(token.get('et')));
  });

  it.each([
    [signToken({ ...CREDENTIALS, method: 'sha256' }, 1_900_000_000), 1_900_000_000],
    ['token', undefined],
  ])('shows when a static token expires, if it says so: %s', async (token, expiry) => {
    const { listening } = launch({ PORT: '0', ONENET_AUTHORIZATION: token });
    const service = { url: await listening };
    expect(expiryIn(await scrape(service), 'ready')).toBe(expiry);
  });
});

describe('all metrics', () => {
  it('include the process and the lag of its event loop', async () => {
    const names = new Set((await scrape(await startBoth())).map(({ name }) => name));
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_heap_size_used_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ]) {
      expect(names).toContain(name);
    }
  });

  it('need no secret, and contain no device, token or address', async () => {
    const secret = 'canary-sixteen-characters';
    const service = await startBoth({}, { ROUTER_SECRET: secret });
    await askEntities(service, FIELD, devices('canary-device'), { 'router-authorization': secret });
    const { authorization = '' } = service.onenet.calls[0]?.headers ?? {};
    const text = JSON.stringify(await scrape(service));
    expect(text).toContain('onenet_ota_request_duration_seconds');
    for (const part of ['canary', '127.0.0.1', ...authorization.split('&')]) {
      expect(text).not.toContain(part);
    }
  });

  it('have only a few known label values, whatever clients and OneNET do', async () => {
    const values: Readonly<Record<string, readonly string[]>> = {
      outcome: ['ok', 'partial', 'failed', 'refused', 'shed', 'aborted'],
      status: ['400', '401', '405', '413', '415'],
      code: [
        ...['OTA_INVALID_TYPE', 'OTA_TASK_NOT_FOUND', 'OTA_TOKEN_EXPIRED', 'OPERATION_TOO_LARGE'],
        ...['ONENET_INTERNAL_ERROR', 'ONENET_UNKNOWN_ERRNO', 'ONENET_UNAUTHORIZED', 'ONENET_RATE_LIMITED'],
        ...['ONENET_UNAVAILABLE', 'ONENET_TIMEOUT', 'ONENET_BAD_RESPONSE', 'BAD_USER_INPUT', 'BAD_REQUEST'],
        ...['INTERNAL_SERVER_ERROR', 'GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED'],
        ...['OPERATION_RESOLUTION_FAILURE', 'PERSISTED_QUERY_NOT_SUPPORTED', 'other'],
      ],
      result: [
        ...['task', 'absent', 'invalid-type', 'internal-error', 'unknown-errno', 'unauthorized'],
        ...['rate-limited', 'bad-response'],
        ...['connection', 'certificate', 'server-error', 'request-timeout', 'timeout', 'canceled'],
      ],
      errno: ['0', '2', '4', '7', '12', 'other'],
      state: ['closed', 'half-open', 'open'],
      source: ['minted', 'ready', 'onenet', 'in_flight', 'memory', 'redis'],
    };
    const service = await startBoth({ fault: faultByName }, { ONENET_TIMEOUT_MS: '1500' });
    const odd = fc.oneof(
      fc.integer().map((errno) => `errno-${errno}`),
      fc.integer({ min: 201, max: 499 }).map((status) => `status-${status}`),
      fc.string({ maxLength: 8 }),
    );
    const ids = fc.sample(odd, { numRuns: 300, seed: 1 });
    // Too few attempts to open the circuit.
    await askEntities(service, FIELD, devices(...ids, 'stall-1', 'reset-1', 'status-500', 'status-599'));
    const bodies = fc.sample(fc.oneof(fc.json(), fc.string()), { numRuns: 100, seed: 1 });
    for (const body of bodies) {
      await send(service, 'POST', body);
      await send(service, 'PUT', body, 'text/plain');
      await send(service, 'POST', JSON.stringify({ query: body, operationName: body }));
    }
    const labelled = (await scrape(service)).filter(({ name }) => name.startsWith('onenet_ota_'));
    for (const { name, labels } of labelled) {
      for (const [label, value] of Object.entries(labels)) {
        if (label !== 'le') expect(values[label], `${name}{${label}="${value}"}`).toContain(value);
      }
    }
    expect(valueOf(labelled, 'onenet_ota_upstream_answers_total', { errno: 'other' })).toBeGreaterThan(50);
    expect(
      valueOf(labelled, 'onenet_ota_request_duration_seconds_count', { outcome: 'refused' }),
    ).toBeGreaterThan(200);
  });
});
