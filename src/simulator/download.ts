import type { IncomingMessage, ServerResponse } from 'node:http';

/** Serves a package to a `GET` or `HEAD`, either whole or as the single byte range that was requested. */
export function sendPackage(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  response.setHeader('Accept-Ranges', 'bytes');
  // Ranges apply to GET only (RFC 9110, 14.2).
  const range = request.method === 'GET' ? requestedRange(request.headers.range, bytes.length) : 'whole';
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}`, 'Content-Length': 0 }).end();
    return;
  }
  const part = range === 'whole' ? bytes : bytes.subarray(range.first, range.last + 1);
  response.setHeader('Content-Type', 'application/octet-stream');
  response.setHeader('Content-Length', part.length);
  if (range !== 'whole') {
    response.setHeader('Content-Range', `bytes ${range.first}-${range.last}/${bytes.length}`);
  }
  response.writeHead(range === 'whole' ? 200 : 206).end(part);
}

/** Ignores anything but a single well-formed range, as RFC 9110, 14.2 allows. */
function requestedRange(
  header: string | undefined,
  size: number,
): { readonly first: number; readonly last: number } | 'whole' | 'unsatisfiable' {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/i.exec(header ?? '') ?? [];
  if (from === '' && to === '') return 'whole';
  if (from === '') {
    return Number(to) === 0 ? 'unsatisfiable' : { first: Math.max(0, size - Number(to)), last: size - 1 };
  }
  const first = Number(from);
  const last = to === '' ? Infinity : Number(to);
  if (last < first) return 'whole';
  return first >= size ? 'unsatisfiable' : { first, last: Math.min(last, size - 1) };
}
