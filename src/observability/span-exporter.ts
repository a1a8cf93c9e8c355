import { diag, DiagLogLevel, type TextMapPropagator, type Tracer } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

export interface SpanExport {
  readonly tracer: Tracer;
  /** Reads the `traceparent` header. */
  readonly propagator: TextMapPropagator;
  /** Sends the remaining spans. */
  shutdown(): Promise<void>;
}

const NAME = 'onenet-ota-subgraph';

/**
 * Starts OpenTelemetry's SDK, which reads all other `OTEL_*` variables itself: endpoint, headers, sampler, batches,
 * resource.
 *
 * @param protocol The transport to the collector, as `OTEL_EXPORTER_OTLP_PROTOCOL` names it.
 * @param onProblem Called when spans cannot be exported.
 */
export function createSpanExport(
  protocol: 'http/protobuf' | 'http/json',
  onProblem: (message: string) => void,
): SpanExport {
  const ignore = (): void => undefined;
  diag.setLogger(
    { error: onProblem, warn: onProblem, info: ignore, debug: ignore, verbose: ignore },
    DiagLogLevel.WARN,
  );
  const exporter = protocol === 'http/json' ? new JsonExporter() : new ProtobufExporter();
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': NAME }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  return {
    tracer: provider.getTracer(NAME),
    propagator: new W3CTraceContextPropagator(),
    shutdown: () => provider.shutdown(),
  };
}
