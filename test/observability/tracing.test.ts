import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { faultByName } from '../fault-by-name.ts';
import {
  askEntities,
  CREDENTIALS,
  devices,
  type Environment,
  post,
  type ServiceProcess,
  startOnce,
  startProgram,
  type Until,
} from '../service.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const ROUTER_SPAN = '00f067aa0ba902b7';
const SAMPLED = { traceparent: `00-${TRACE_ID}-${ROUTER_SPAN}-01` };
const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly links: readonly { readonly spanId: string }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly status: { readonly code: number };
}

/** A span as OTLP encodes it. */
interface RawSpan extends Omit<Span, 'attributes'> {
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
}

interface Collector {
  readonly url: string;
  readonly requests: { readonly path: string; readonly type: string; readonly body: string }[];
  /** All spans that arrived as JSON. */
  spans(): Span[];
}

/** An OpenTelemetry collector. */
async function startCollector(until: Until = onTestFinished): Promise<Collector> {
  const requests: Collector['requests'] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      requests.push({ path: request.url ?? '', type: request.headers['content-type'] ?? '', body });
      response.setHeader('content-type', 'application/json').end('{}');
    });
  }).listen(0, '127.0.0.1');
  until(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans: () => requests.flatMap(({ body }) => JSON.parse(body).resourceSpans.flatMap(spansOf)),
  };
}

function spansOf({ scopeSpans }: { scopeSpans: { spans: RawSpan[] }[] }): Span[] {
  return scopeSpans.flatMap(({ spans }) =>
    spans.map((span) => ({
      ...span,
      attributes: Object.fromEntries(
        span.attributes.map((attribute) => [attribute.key, Object.values(attribute.value)[0]]),
      ),
    })),
  );
}

/** The built program, with these variables to configure tracing. */
async function start(environment: Environment, until?: Until): Promise<ServiceProcess> {
  return (await startProgram({ fault: faultByName }, environment, until)).service;
}

/** Stops the process, which sends the remaining spans. */
async function end({ child, exited }: ServiceProcess): Promise<void> {
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
}

const TWICE = 'a: otaTask(type: FOTA) { size } b: otaTaskResult(type: FOTA) { __typename }';

describe('a traced request', () => {
  it('says which operation it executes, by the names of OpenTelemetry and without literals', async () => {
    const collector = await startCollector();
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    const query =
      'query Tasks($type: OtaTaskType!) { _entities(representations: [{ __typename: "Device", id: "secret-1" }]) ' +
      '{ ... on Device { otaTask(type: $type) { size } } } }';
    await post(service.url, query, { type: 'FOTA' }, SAMPLED);
    await post(service.url, '{ __typename }', {}, SAMPLED);
    await end(service);

    const [named, anonymous] = collector.spans().filter(({ kind }) => kind === SERVER);
    expect(named?.attributes).toMatchObject({
      'graphql.operation.type': 'query',
      'graphql.operation.name': 'Tasks',
      'graphql.document': expect.stringContaining('_entities(representations: [])'),
    });
    expect(JSON.stringify(named?.attributes)).not.toContain('secret-1');
    expect(anonymous?.attributes).toMatchObject({ 'graphql.operation.type': 'query' });
    expect(anonymous?.attributes).not.toHaveProperty('graphql.operation.name');
  });

  it('has a span inside the span of the router, with one for each field, and in that the call they share', async () => {
    const collector = await startCollector();
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'ota',
    });
    await askEntities(service, TWICE, devices('d1', 'errno-4', 'd1'), SAMPLED);
    await end(service);

    expect(new Set(collector.requests.map(({ path }) => path))).toEqual(new Set(['/v1/traces']));
    expect(collector.requests[0]?.body).toContain('{"key":"service.name","value":{"stringValue":"ota"}}');
    const spans = collector.spans();
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE_ID]));
    const [request] = spans.filter(({ kind }) => kind === SERVER);
    expect(request).toMatchObject({
      name: 'POST /graphql',
      parentSpanId: ROUTER_SPAN,
      attributes: { 'http.response.status_code': 200, 'onenet_ota.outcome': 'partial' },
    });
    const fields = spans.filter(({ name }) => name.startsWith('Device.'));
    expect(
      fields.map(({ name, attributes }) => `${name} ${String(attributes['onenet.device_id'])}`).sort(),
    ).toEqual([
      ...['Device.otaTask d1', 'Device.otaTask d1', 'Device.otaTask errno-4'],
      ...['Device.otaTaskResult d1', 'Device.otaTaskResult d1', 'Device.otaTaskResult errno-4'],
    ]);
    for (const field of fields) expect(field.parentSpanId).toBe(request?.spanId);

    const calls = spans.filter(({ kind }) => kind === CLIENT);
    expect(calls.map(({ attributes }) => attributes['onenet.device_id']).sort()).toEqual(['d1', 'errno-4']);
    for (const call of calls) {
      const id = call.attributes['onenet.device_id'];
      expect(call).toMatchObject({
        name: 'GET /ota/south/tasking',
        attributes: {
          'http.request.method': 'GET',
          'http.response.status_code': 200,
          'server.address': '127.0.0.1',
          'onenet.ota_type': 'FOTA',
          'onenet.errno': id === 'd1' ? 0 : 4,
        },
        status: { code: 0 },
      });
      const askers = fields.filter(({ attributes }) => attributes['onenet.device_id'] === id);
      const linked = [call.parentSpanId, ...call.links.map(({ spanId }) => spanId)];
      expect(linked.sort()).toEqual(askers.map(({ spanId }) => spanId).sort());
    }
    const failed = spans.filter(({ status }) => status.code === ERROR);
    expect(failed.map(({ name, attributes }) => [name, attributes['error.type']])).toEqual([
      ['Device.otaTask', 'OTA_TASK_NOT_FOUND'],
    ]);
  });

  const FAILING = ['errno-7', 'status-503', 'reset-1', 'stall-1'];
  /** The calls for devices that all fail, each asked for by a request of its own. */
  const failed = startOnce(async (until) => {
    const collector = await startCollector(until);
    const service = await start(
      {
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/elsewhere`,
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
        ONENET_TIMEOUT_MS: '1000',
      },
      until,
    );
    for (const id of FAILING) {
      await askEntities(service, 'otaTask(type: SOTA) { size }', devices(id), SAMPLED);
    }
    await end(service);
    expect(collector.requests[0]?.path).toBe('/elsewhere');
    return collector.spans().filter(({ kind }) => kind === CLIENT);
  });

  it.each([
    [
      'errno-7',
      ['internal-error', 'internal-error'],
      { 'onenet.errno': 7, 'http.response.status_code': 200 },
    ],
    ['status-503', ['server-error', 'server-error'], { 'http.response.status_code': 503 }],
    ['reset-1', ['connection', 'connection'], {}],
    ['stall-1', ['timeout'], {}],
  ])('has a span for each attempt, with its error: %s', (id, types, attributes) => {
    const calls = failed().filter((call) => call.attributes['onenet.device_id'] === id);
    expect(calls.map((call) => call.attributes['error.type'])).toEqual(types);
    for (const [index, call] of calls.entries()) {
      expect(call).toMatchObject({ attributes, status: { code: ERROR } });
      expect(call.attributes['http.request.resend_count']).toBe(index === 0 ? undefined : 1);
    }
  });

  it('begins a trace if the router did not, and its log lines name it', async () => {
    const collector = await startCollector();
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    await askEntities(service, TWICE, devices('status-401'));
    await end(service);
    const [request] = collector.spans().filter(({ kind }) => kind === SERVER);
    expect(request?.parentSpanId ?? '').toBe('');
    expect(service.log).toContainEqual(
      expect.objectContaining({ result: 'unauthorized', traceId: request?.traceId }),
    );
  });

  it('is answered like any other, and reveals no secret', async () => {
    const collector = await startCollector();
    const environment = { ROUTER_SECRET: 'a-secret-of-the-router' };
    const secret = { 'router-authorization': environment.ROUTER_SECRET };
    const traced = await start({
      ...environment,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    const plain = await start(environment);
    const ask = (service: ServiceProcess) =>
      askEntities(service, `id ${TWICE}`, [...devices('d1', 'errno-4', 'no id'), 7], secret);
    const { text, body } = await ask(traced);
    const { body: expected } = await ask(plain);
    expect(body.data).toEqual(expected.data);
    expect(body.errors).toHaveLength(3);
    expect(body.errors).toEqual(expect.arrayContaining(expected.errors));
    await end(traced);
    const all = collector.requests.map(({ body }) => body).join();
    expect(all).toContain('Device.otaTask');
    for (const hidden of [environment.ROUTER_SECRET, CREDENTIALS.accessKey, 'sign=', 'dev_id=']) {
      expect(all).not.toContain(hidden);
    }
    expect(text).not.toContain('traceId');
  });

  it('is sent as protobuf by default', async () => {
    const collector = await startCollector();
    const service = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    await askEntities(service, TWICE, devices('d1'), SAMPLED);
    await end(service);
    expect(collector.requests).toMatchObject([{ path: '/v1/traces', type: 'application/x-protobuf' }]);
    expect(collector.requests[0]?.body).toContain('Device.otaTaskResult');
  });
});

describe('no span is sent', () => {
  it.each<[string, Environment, Record<string, string>]>([
    ['of a request that the router does not sample', {}, { traceparent: `00-${TRACE_ID}-${ROUTER_SPAN}-00` }],
    ['where the sampler wants none', { OTEL_TRACES_SAMPLER: 'always_off' }, SAMPLED],
    ['where OpenTelemetry is disabled', { OTEL_SDK_DISABLED: 'true' }, SAMPLED],
    ['where the exporter is none', { OTEL_TRACES_EXPORTER: 'none' }, SAMPLED],
    ['of a request without the secret', { ROUTER_SECRET: 'a-secret-of-the-router' }, SAMPLED],
  ])('%s', async (_, environment, headers) => {
    const collector = await startCollector();
    const service = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...environment });
    await askEntities(service, TWICE, devices('d1'), headers);
    await end(service);
    expect(collector.requests).toEqual([]);
  });

  it('if there is no collector: the service answers, logs the problem, and exits', async () => {
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    });
    const { body } = await askEntities(service, TWICE, devices('d1'), SAMPLED);
    expect(body.data._entities[0].a.size).toBeGreaterThan(0);
    await end(service);
    expect(service.log).toContainEqual(
      expect.objectContaining({ level: 40, msg: 'spans cannot be exported' }),
    );
  });

  it('for fields if there is no operation', async () => {
    const collector = await startCollector();
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
    await post(service.url, '{', {}, SAMPLED);
    await end(service);
    expect(
      collector.spans().map(({ name, attributes }) => [name, attributes['http.response.status_code']]),
    ).toEqual([['POST /graphql', 400]]);
  });
});
