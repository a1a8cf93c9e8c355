import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { describe, expect, it } from 'vitest';

import type { RequestTrace } from '../../src/request-scope.ts';
import { createTracing } from '../../src/observability/tracing.ts';
import { createWaiter, fota, startChain, startOneNet } from './start-chain.ts';

/** A chain in which each request has its own trace. */
async function startTraced() {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const onenet = await startOneNet({ latencyMs: 50 });
  const trace = createTracing(
    { tracer: provider.getTracer('test'), propagator: new W3CTraceContextPropagator() },
    new URL(onenet.url),
  );
  const chain = await startChain(onenet);
  const key = { deviceId: 'a', type: 'FOTA' } as const;
  return {
    begin: (): RequestTrace => trace({}, 0)?.trace as RequestTrace,
    /** Requests a pair as a resolver does. */
    ask: async (ofRequest: RequestTrace | undefined): Promise<void> => {
      const endField = ofRequest?.field('otaTask', key);
      await chain.ask(fota('a'), createWaiter(ofRequest));
      endField?.();
    },
    calls: () => named(exporter, 'GET /ota/south/tasking'),
    fields: () => named(exporter, 'Device.otaTask'),
  };
}

function named(exporter: InMemorySpanExporter, name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

function linked({ links }: ReadableSpan): string[] {
  return links.map(({ context }) => context.spanId);
}

describe('the trace of a call that requests share', () => {
  it('is that of the first request; the call is linked with the fields that wait for it in other traces', async () => {
    const { begin, ask, calls, fields } = await startTraced();
    const traces = [begin(), begin(), begin()];
    await Promise.all(traces.map(ask));
    const [call, ...more] = calls();
    expect(more).toEqual([]);
    expect(call?.spanContext().traceId).toBe(traces[0]?.traceId);
    const [first, ...others] = traces.map(
      ({ traceId }) => fields().find((field) => field.spanContext().traceId === traceId) as ReadableSpan,
    );
    expect(call?.parentSpanContext?.spanId).toBe(first?.spanContext().spanId);
    expect(linked(call as ReadableSpan)).toEqual(others.map((field) => field.spanContext().spanId));
    for (const field of others) expect(linked(field)).toEqual([call?.spanContext().spanId]);
  });

  it('is missing if the first request has none; the waiting requests keep their own', async () => {
    const { begin, ask, calls, fields } = await startTraced();
    await Promise.all([ask(undefined), ask(begin())]);
    expect(calls()).toEqual([]);
    expect(fields()).toHaveLength(1);
  });
});
