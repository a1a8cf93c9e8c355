import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { MAX_BODY_BYTES } from './request-body.ts';

/** GraphQL requests at once; what each of them may ask of OneNET is limited elsewhere. */
const MAX_REQUESTS_UNDER_WAY = 2000;
/** What a router sends for a few devices is smaller; only what is larger counts as heavy. */
const LIGHT_BODY_BYTES = 1024;
/** Of heavy bodies at once, for each device that one of them may ask for: of the largest operations, some fifty. */
const HEAVY_BYTES_PER_DEVICE = 2048;
/** Nothing that could be a request. */
const LEAST_BYTES = 128;

/** How often the event loop is looked at, where it is on time. */
const SAMPLE_MS = 50;
/** Later than this, heavy requests would only make all of them late. */
const MAX_SAMPLE_MS = 300;
/** Later than this, light ones would too. */
const MAX_SAMPLE_MS_FOR_LIGHT = 1000;
/** After each sample in time: twice as much in a second and a half. */
const RECOVERY = 1.025;

export interface LoadShedding {
  /** The most bytes that the body of the next request may have; what is heavier is to be refused with 503. */
  readonly largestBody: () => number;
  /** Counts a request until there is an answer to it, or nobody to answer. */
  readonly enter: (request: FastifyRequest, reply: FastifyReply) => void;
  /** Whether even a request for a single device would be refused. */
  readonly isOverloaded: () => boolean;
}

/**
 * Measures requests by the bytes of their bodies, which what they cost is bounded by. While the event loop is late, the
 * heaviest are refused, and lighter and lighter ones for as long as that does not help; so whoever asks for a thousand
 * devices keeps nobody from asking for one.
 */
export function createLoadShedding(server: FastifyInstance, maxDeviceTasks: number): LoadShedding {
  const maxHeavyBytes = Math.max(maxDeviceTasks * HEAVY_BYTES_PER_DEVICE, MAX_BODY_BYTES);
  const underWay = new Set<FastifyRequest>();
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
    if (underWay.size >= MAX_REQUESTS_UNDER_WAY) return 0;
    return Math.trunc(Math.min(largest, Math.max(maxHeavyBytes - heavyBytes, LIGHT_BODY_BYTES)));
  }

  function leave(request: FastifyRequest): void {
    if (underWay.delete(request)) heavyBytes -= heavinessOf(request);
  }
  server.addHook('onSend', (request, _reply, payload, done) => {
    leave(request);
    done(null, payload);
  });

  return {
    largestBody,
    enter(request, { raw }) {
      underWay.add(request);
      heavyBytes += heavinessOf(request);
      raw.once('close', () => leave(request));
    },
    isOverloaded: () => largestBody() < LIGHT_BODY_BYTES,
  };
}

function heavinessOf({ bodyBytes }: FastifyRequest): number {
  return bodyBytes > LIGHT_BODY_BYTES ? bodyBytes : 0;
}
