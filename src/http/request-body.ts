import type { IncomingMessage } from 'node:http';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** The size of the decompressed body; 0 until the body has arrived completely. */
    bodyBytes: number;
  }
}

/** Limits both the body as received and the decompressed body. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** Received bytes of all incomplete bodies together. */
const MAX_ARRIVING_BYTES = 32 * 1024 * 1024;

const JSON_IN_UTF8 = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

type Decode = (body: Buffer, limit: { readonly maxOutputLength: number }) => Buffer;

/**
 * Routers compress their requests. Decompression is synchronous: the largest body takes 10 ms, and a slow sender holds
 * no decompressor state.
 */
const DECODERS: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
  ['identity', (body) => body],
]);

export interface BodyOptions {
  /** Called when a body has arrived completely. */
  readonly onArrival: (request: FastifyRequest) => void;
  /** The largest decompressed body accepted at the moment; a larger one is refused with 503. */
  readonly largestBody: () => number;
}

/** Makes the server read JSON in UTF-8 and refuse every other media type. */
export function readBodies(server: FastifyInstance, { onArrival, largestBody }: BodyOptions): void {
  const receive = createReceiver();
  const parse = server.getDefaultJsonParser('ignore', 'ignore');

  server.decorateRequest('bodyBytes', 0);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(JSON_IN_UTF8, (request, payload: IncomingMessage, done) => {
    const decode = DECODERS.get(request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity');
    if (decode === undefined) {
      done(httpError(415));
      return;
    }
    receive(payload, (received) => {
      let body: Buffer;
      try {
        if (received instanceof Error) throw received;
        onArrival(request);
        body = decodeWithin(largestBody(), received, decode);
      } catch (error) {
        done(error as Error);
        return;
      }
      request.bodyBytes = body.length;
      void parse(request, body.toString(), done);
    });
  });
}

/** Decompresses with a limit on the output, because a small body can expand to gigabytes. */
function decodeWithin(maxOutputLength: number, received: Buffer, decode: Decode): Buffer {
  const tooLarge = (): Error =>
    maxOutputLength < MAX_BODY_BYTES ? httpError(503) : new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
  if (received.length > maxOutputLength) throw tooLarge();
  try {
    return decode(received, { maxOutputLength });
  } catch (error) {
    const isTooLarge = (error as { readonly code?: string }).code === 'ERR_BUFFER_TOO_LARGE';
    throw isTooLarge ? tooLarge() : Object.assign(error as Error, { statusCode: 400 });
  }
}

const NOTHING = Buffer.alloc(0);

/** A body that is still arriving. */
interface Arrival {
  readonly end: (result: Buffer | Error) => void;
}

/**
 * Collects bodies within the limits for each and for all together; if memory runs out, the body that has been arriving
 * for longest is refused. Fastify does not collect them, because it keeps each chunk as a buffer of its own: 12 MB in
 * chunks of one byte take half a gigabyte.
 */
function createReceiver(): (payload: IncomingMessage, done: (result: Buffer | Error) => void) => void {
  const arriving = new Set<Arrival>();
  let arrivingBytes = 0;

  return (payload, done) => {
    let held: Buffer = NOTHING;
    let length = 0;
    const arrival = { end };

    const announced = Number(payload.headers['content-length']);
    if (announced > MAX_BODY_BYTES) {
      done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
      return;
    }
    payload.on('data', onData).on('end', onEnd).on('error', onError);

    function onData(chunk: Buffer): void {
      if (length + chunk.length > MAX_BODY_BYTES) {
        end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
        return;
      }
      const heldBefore = held.length;
      held = append(held, length, chunk);
      length += chunk.length;
      arrivingBytes += held.length - heldBefore;
      // Not a body that came in one piece, as most do: `end` follows at once.
      if (length !== announced) arriving.add(arrival);
      for (const slowest of arriving) {
        if (arrivingBytes <= MAX_ARRIVING_BYTES) break;
        slowest.end(httpError(503));
      }
    }

    function onEnd(): void {
      end(length === held.length ? held : held.subarray(0, length));
    }

    /** The client disconnected while sending. */
    function onError(error: Error): void {
      end(Object.assign(error, { statusCode: 400 }));
    }

    function end(result: Buffer | Error): void {
      payload.off('data', onData).off('end', onEnd).off('error', onError);
      // Discard the rest of the body. If it were left unread, the connection would be reset, and the reset can overtake
      // the answer.
      if (result instanceof Error) payload.resume();
      arriving.delete(arrival);
      arrivingBytes -= held.length;
      done(result);
    }
  };
}

/**
 * Appends a chunk and doubles the buffer when it is full, so that many small chunks cost no more memory than their
 * bytes.
 */
function append(held: Buffer, length: number, chunk: Buffer): Buffer {
  if (length === 0) return chunk;
  let roomy = held;
  if (length + chunk.length > held.length) {
    roomy = Buffer.allocUnsafeSlow(Math.max(2 * held.length, length + chunk.length));
    held.copy(roomy, 0, 0, length);
  }
  chunk.copy(roomy, length);
  return roomy;
}

function httpError(statusCode: number): Error {
  return Object.assign(new Error(`HTTP status ${statusCode}`), { statusCode });
}
