import type { Socket } from 'node:net';

/** The start of an interim response, except 101, which ends HTTP on the connection. */
const INTERIM = /^HTTP\/1\.1 1(?!01)\d\d[ \r]/;
const SHORTEST = 'HTTP/1.1 100 ';
const STATUS = 'HTTP/1.1 '.length;
const ONE = '1'.charCodeAt(0);
const END_OF_HEAD = '\r\n\r\n';
/** The longest interim response accepted: undici's limit for any response head. */
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * Removes interim responses from what undici reads from this socket. undici would destroy the connection at a 100 that
 * it did not ask for.
 *
 * @returns Must be called with each request: the next bytes are then the start of a response, as on a new socket.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.2 for why a client must accept them unasked.
 */
export function skipInterimResponses(socket: Socket): () => void {
  const read = socket.read.bind(socket);
  let headExpected = true;
  /** The bytes of an interim response that is still incomplete. */
  let part: Buffer = NOTHING;

  socket.read = (size) => {
    for (;;) {
      const chunk = read(size) as Buffer | null;
      if (chunk === null || !headExpected) return chunk;
      part = afterInterims(part.length === 0 ? chunk : Buffer.concat([part, chunk]));
      if (mayBeInterim(part) && part.length <= MAX_HEAD_BYTES) continue;
      headExpected = false;
      const head = part;
      part = NOTHING;
      return head;
    }
  };
  return () => {
    headExpected = true;
  };
}

const NOTHING = Buffer.alloc(0);

function afterInterims(bytes: Buffer): Buffer {
  let rest = bytes;
  while (mayBeInterim(rest)) {
    const end = rest.indexOf(END_OF_HEAD);
    if (end < 0) break;
    rest = rest.subarray(end + END_OF_HEAD.length);
  }
  return rest;
}

/** Whether the bytes are the start of an interim response, or could become one. */
function mayBeInterim(bytes: Buffer): boolean {
  // Fast path: one byte is enough to rule out nearly every response.
  if (bytes.length > STATUS && bytes[STATUS] !== ONE) return false;
  const start = bytes.toString('latin1', 0, SHORTEST.length);
  return INTERIM.test(start + SHORTEST.slice(start.length));
}
