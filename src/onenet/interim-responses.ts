import type { Socket } from 'node:net';

/** The beginning of an interim response; 101 is none, for it ends HTTP on its connection. */
const INTERIM = /^HTTP\/1\.1 1(?!01)\d\d[ \r]/;
const SHORTEST = 'HTTP/1.1 100 ';
const STATUS = 'HTTP/1.1 '.length;
const ONE = '1'.charCodeAt(0);
const END_OF_HEAD = '\r\n\r\n';
/** Of one interim response: as much as undici takes of any head. */
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * Keeps interim responses from whoever reads this socket: to undici a 100 that it did not ask for is the end of the
 * connection.
 *
 * @returns To be called with each request: what is read next is the beginning of a head, as it is on a new socket.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-15.2 for why a client must take them unasked.
 */
export function skipInterimResponses(socket: Socket): () => void {
  const read = socket.read.bind(socket);
  let headExpected = true;
  /** What has come of an interim response whose end has not. */
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

/** Whether the bytes begin an interim response, or would if the right ones followed. */
function mayBeInterim(bytes: Buffer): boolean {
  // This answers for nearly all, and costs next to nothing.
  if (bytes.length > STATUS && bytes[STATUS] !== ONE) return false;
  const start = bytes.toString('latin1', 0, SHORTEST.length);
  return INTERIM.test(start + SHORTEST.slice(start.length));
}
