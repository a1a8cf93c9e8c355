import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

import protobuf from 'protobufjs';

/** What the tests read of OTLP. @see https://github.com/open-telemetry/opentelemetry-proto */
const Traces = protobuf
  .parse(
    `syntax = "proto3";
    message Value { string string_value = 1; }
    message Attribute { string key = 1; Value value = 2; }
    message Resource { repeated Attribute attributes = 1; }
    message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6; }
    message ScopeSpans { repeated Span spans = 2; }
    message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
    message Traces { repeated ResourceSpans resource_spans = 1; }`,
  )
  .root.lookupType('Traces');

export interface Span {
  /** The name of the service that it happened in. */
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty where it has none. */
  readonly parentSpanId: string;
}

interface RawSpan extends Record<'traceId' | 'spanId' | 'parentSpanId', Buffer> {
  readonly name: string;
}

interface RawTraces {
  readonly resourceSpans: readonly {
    readonly resource: {
      readonly attributes: readonly {
        readonly key: string;
        readonly value: { readonly stringValue: string };
      }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly RawSpan[] }[];
  }[];
}

/** Receives traces as OTLP over HTTP, in protobuf. */
export async function startCollector() {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      if (request.url === '/v1/traces') spans.push(...decode(bytes));
      response.setHeader('content-type', 'application/x-protobuf').end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans: spans as readonly Span[],
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function decode(bytes: Buffer): Span[] {
  const { resourceSpans } = Traces.toObject(Traces.decode(bytes), { defaults: true }) as RawTraces;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, ...ids }) => ({
        ...{ service, name, traceId: hex(ids.traceId) },
        ...{ spanId: hex(ids.spanId), parentSpanId: hex(ids.parentSpanId) },
      })),
    );
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
