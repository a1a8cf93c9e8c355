import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

import type { preParsingHookHandler } from 'fastify';

const DECOMPRESSORS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/**
 * Decompresses request bodies, which routers compress. What comes out is what the body limit counts; at the limit, or
 * when the client leaves, decompressing stops: three kilobytes of brotli can hold gigabytes.
 */
export const decompress: preParsingHookHandler = (request, reply, payload, done) => {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity') {
    done(null, payload);
    return;
  }
  const create = DECOMPRESSORS.get(encoding);
  if (create === undefined) {
    done(Object.assign(new Error('unknown content-encoding'), { statusCode: 415 }));
    return;
  }
  const decompressed = create();
  // The length that was announced is that of the compressed body.
  delete request.headers['content-length'];
  payload.on('error', (error) => decompressed.destroy(error));
  reply.raw.once('close', () => decompressed.destroy());
  done(null, payload.pipe(decompressed));
};
