import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { post } from '../../test/service.ts';
import { until } from '../../test/until.ts';
import { SECRET, startCompany } from '../company.ts';
import { type Span, startCollector } from './collector.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER, type Router } from './routers.ts';

reportMissing();

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

/** What a company adds to the router's file to have its traces. */
const TRACING: Readonly<Record<Router['kind'], (collector: string) => string>> = {
  cosmo: (collector) => `
telemetry:
  tracing:
    enabled: true
    exporters: [{ exporter: http, endpoint: '${collector}', path: /v1/traces, batch_timeout: 5s }]
    propagation: { trace_context: true }
`,
  apollo: (collector) => `
telemetry:
  exporters:
    tracing:
      common: { service_name: apollo-router, sampler: always_on }
      propagation: { trace_context: true }
      otlp:
        enabled: true
        endpoint: '${collector}/v1/traces'
        protocol: http
        batch_processor: { scheduled_delay: 200ms }
`,
  hive: (collector) => `
telemetry:
  resource: { attributes: { service.name: hive-router } }
  tracing:
    exporters:
      - kind: otlp
        endpoint: '${collector}/v1/traces'
        protocol: http
        batch_processor: { scheduled_delay: 200ms }
`,
};

it.each(EACH_ROUTER)("the client's trace goes through $name and the service to OneNET", async (router) => {
  const folder = mkdtempSync(join(tmpdir(), 'routers-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const collector = await startCollector();
  onTestFinished(() => collector.close());
  const company = await startCompany({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '200',
    OTEL_SERVICE_NAME: 'onenet-ota',
  });
  onTestFinished(() => company.close());
  const { url, close } = await router.start({
    subgraphs: company.subgraphs,
    secret: SECRET,
    folder,
    configure: (file) => file + TRACING[router.kind](collector.url),
  });
  onTestFinished(close);

  company.own('a');
  const traceparent = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
  const { body } = await post(url, '{ devices { otaTask(type: FOTA) { size } } }', {}, { traceparent });
  expect(body.errors).toBeUndefined();

  const spans = () => collector.spans.filter(({ traceId }) => traceId === TRACE_ID);
  const parentOf = (child: Span | undefined) => spans().find(({ spanId }) => spanId === child?.parentSpanId);
  const call = () => spans().find(({ name }) => name === 'GET /ota/south/tasking');
  const fieldOf = () => parentOf(call());
  const request = () => parentOf(fieldOf());
  await until(() => parentOf(request()) !== undefined);
  expect([call(), fieldOf(), request()].map((span) => [span?.service, span?.name])).toEqual([
    ['onenet-ota', 'GET /ota/south/tasking'],
    ['onenet-ota', 'Device.otaTask'],
    ['onenet-ota', 'POST /graphql'],
  ]);
  expect(parentOf(request())?.service).not.toBe('onenet-ota');
});
