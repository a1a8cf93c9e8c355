import {
  type Context,
  defaultTextMapGetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace as api,
  type Tracer,
} from '@opentelemetry/api';

import { type DeviceTaskKey, pairId } from '../ota-task.ts';
import type { RequestTrace } from '../request-scope.ts';
import type { SpanExport } from './span-exporter.ts';

/** The span of a whole request. */
export interface TracedRequest {
  readonly trace: RequestTrace;
  end(status: number, outcome: string): void;
}

/** Begins the trace of a request that arrived `ageMs` milliseconds ago; undefined if the sampler does not select it. */
export type TraceRequest = (
  headers: Readonly<Record<string, unknown>>,
  ageMs: number,
) => TracedRequest | undefined;

/**
 * Traces requests. A request's span contains one for each task field of a device, and that contains the calls to
 * OneNET.
 *
 * @param server OneNET's address.
 * @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and
 *   https://opentelemetry.io/docs/specs/semconv/graphql/graphql-spans/ for the names of attributes.
 */
export function createTracing(
  { tracer, propagator }: Pick<SpanExport, 'tracer' | 'propagator'>,
  server: URL,
): TraceRequest {
  const serverAttributes = {
    'http.request.method': 'GET',
    'url.template': '/ota/south/tasking',
    'server.address': server.hostname,
    'server.port': Number(server.port || (server.protocol === 'https:' ? 443 : 80)),
  };

  return (headers, ageMs) => {
    const parent = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
    const span = tracer.startSpan(
      'POST /graphql',
      {
        kind: SpanKind.SERVER,
        startTime: Date.now() - ageMs,
        attributes: { 'http.request.method': 'POST', 'http.route': '/graphql', 'url.path': '/graphql' },
      },
      parent,
    );
    if (!span.isRecording()) return undefined;
    return {
      trace: traceWithin(span, parent, tracer, serverAttributes),
      end(status, outcome) {
        span.setAttributes({ 'http.response.status_code': status, 'onenet_ota.outcome': outcome });
        if (status >= 500 || outcome === 'aborted') {
          span.setAttribute('error.type', outcome === 'aborted' ? outcome : String(status));
          span.setStatus({ code: SpanStatusCode.ERROR });
        }
        span.end();
      },
    };
  };
}

/** The field spans that wait for one call, and the call's span once it has begun. */
interface Shared {
  readonly fields: Span[];
  call?: Span;
}

/** Lets a trace reach the shared calls of another trace. */
const sharedOf = new WeakMap<RequestTrace, (key: DeviceTaskKey) => Shared>();

function traceWithin(
  request: Span,
  parent: Context,
  tracer: Tracer,
  serverAttributes: Readonly<Record<string, string | number>>,
): RequestTrace {
  const shared = new Map<string, Shared>();
  const within = (span: Span): Context => api.setSpan(parent, span);

  function sharedBy(key: DeviceTaskKey): Shared {
    const pair = pairId(key);
    let found = shared.get(pair);
    if (found === undefined) shared.set(pair, (found = { fields: [] }));
    return found;
  }

  const trace: RequestTrace = {
    traceId: request.spanContext().traceId,
    operation({ type, name, document }) {
      request.setAttributes({
        'graphql.operation.type': type,
        'graphql.document': document,
        ...(name !== undefined && { 'graphql.operation.name': name }),
      });
    },
    field(name, key) {
      const span = tracer.startSpan(`Device.${name}`, { attributes: attributesOf(key) }, within(request));
      const { fields, call } = sharedBy(key);
      fields.push(span);
      if (call !== undefined) link(span, call);
      return (code) => {
        if (code !== undefined) fail(span, code);
        span.end();
      };
    },
    call(key, attempt) {
      const pair = sharedBy(key);
      const [first, ...others] = pair.fields;
      const span = tracer.startSpan(
        'GET /ota/south/tasking',
        {
          kind: SpanKind.CLIENT,
          attributes: {
            ...serverAttributes,
            ...attributesOf(key),
            ...(attempt === 1 ? {} : { 'http.request.resend_count': attempt - 1 }),
          },
        },
        within(first ?? request),
      );
      pair.call = span;
      // All of these fields wait for the same call, but a span can have only one parent, so the others are linked.
      for (const field of others) link(field, span);
      return ({ result, errno, status }) => {
        if (status !== undefined) span.setAttribute('http.response.status_code', status);
        if (errno !== undefined) span.setAttribute('onenet.errno', errno);
        if (result !== 'task' && result !== 'absent') fail(span, result);
        span.end();
      };
    },
    join(key, other) {
      const theirs = sharedOf.get(other)?.(key);
      if (theirs === undefined) return;
      for (const field of sharedBy(key).fields) {
        theirs.fields.push(field);
        if (theirs.call !== undefined) link(field, theirs.call);
      }
      shared.set(pairId(key), theirs);
    },
  };
  sharedOf.set(trace, sharedBy);
  return trace;
}

/**
 * Links both spans to each other: without the field's link, its trace would not show a call that another trace
 * contains.
 */
function link(field: Span, call: Span): void {
  call.addLink({ context: field.spanContext() });
  field.addLink({ context: call.spanContext() });
}

function attributesOf({ deviceId, type }: DeviceTaskKey): Record<string, string> {
  return { 'onenet.device_id': deviceId, 'onenet.ota_type': type };
}

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
