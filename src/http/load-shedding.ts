import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { MAX_BODY_BYTES } from './request-body.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request counts towards the load. */
    isUnderWay: boolean;
  }
}

/** Concurrent GraphQL requests. Their calls to OneNET are limited elsewhere. */
const MAX_REQUESTS_UNDER_WAY = 2000;
/** A router's request for a few devices is smaller than this; larger bodies count as heavy. */
const LIGHT_BODY_BYTES = 1024;
/**
 * Concurrent bytes of heavy bodies for each device that one operation may ask for; some fifty of the largest operations
 * fit.
 */
const HEAVY_BYTES_PER_DEVICE = 2048;
/** Smaller than any real request. */
const LEAST_BYTES = 128;

/** The sampling interval while the event loop is on time. */
const SAMPLE_MS = 50;
/** Beyond this delay, accepting heavy requests would delay all of them. */
const MAX_SAMPLE_MS = 300;
/** Beyond this delay, accepting even light requests would. */
const MAX_SAMPLE_MS_FOR_LIGHT = 1000;
/** Growth of the limit after each sample that is on time: it doubles in a second and a half. */
const RECOVERY = 1.025;

export interface LoadShedding {
  /** The largest body accepted at the moment; larger ones are to be refused with 503. */
  readonly largestBody: () => number;
  /** Counts a request until it is answered or its client has disconnected. */
  readonly enter: (request: FastifyRequest, reply: FastifyReply) => void;
  /** Whether even a request for one device would be refused. */
  readonly isOverloaded: () => boolean;
}

/**
 * Sheds load by the size of request bodies, which bounds the cost of a request. While the event loop is late, the limit
 * shrinks, so that the heaviest requests are refused first: a client that asks for a thousand devices does not stop
 * others from asking for one.
 */
export function createLoadShedding(server: FastifyInstance, maxDeviceTasks: number): LoadShedding {
  const maxHeavyBytes = Math.max(maxDeviceTasks * HEAVY_BYTES_PER_DEVICE, MAX_BODY_BYTES);
  let underWay = 0;
  let heavyBytes = 0;
  let largest = MAX_BODY_BYTES;
  let sampledMs = performance.now();

  const sampling = setInterval(() => {
    const elapsedMs = performance.now() - sampledMs;
    sampledMs += elapsedMs;
    const change = elapsedMs > MAX_SAMPLE_MS ? SAMPLE_MS / elapsedMs : RECOVERY;
    const least = elapsedMs > MAX_SAMPLE_MS_FOR_LIGHT ? LEAST_BYTES : Math.min(largest, LIGHT_BODY_BYTES);
    largest = Math.min(Math.max(largest * change, least), MAX_BODY_BYTES);
  }, SAMPLE_MS);
  server.addHook('onClose', async () => clearInterval(sampling));

  function largestBody(): number {
    if (underWay >= MAX_REQUESTS_UNDER_WAY) return 0;
    return Math.trunc(Math.min(largest, Math.max(maxHeavyBytes - heavyBytes, LIGHT_BODY_BYTES)));
  }

  function leave(request: FastifyRequest): void {
    if (!request.isUnderWay) return;
    request.isUnderWay = false;
    underWay--;
    heavyBytes -= heavinessOf(request);
  }
  server.decorateRequest('isUnderWay', false);
  server.addHook('onSend', (request, _reply, payload, done) => {
    leave(request);
    done(null, payload);
  });

  return {
    largestBody,
    enter(request, { raw }) {
      request.isUnderWay = true;
      underWay++;
      heavyBytes += heavinessOf(request);
      raw.once('close', () => leave(request));
    },
    isOverloaded: () => largestBody() < LIGHT_BODY_BYTES,
  };
}

function heavinessOf({ bodyBytes }: FastifyRequest): number {
  return bodyBytes > LIGHT_BODY_BYTES ? bodyBytes : 0;
}
