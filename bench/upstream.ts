// A process of its own that stands in for OneNET and costs as little as possible: one constant answer, written as it is.
// Given the files of a key and a certificate, it speaks TLS.
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';

/** Sets what follows and asks for what was counted so far; answered with `Counts`. */
export interface Setting {
  /** Milliseconds before each answer. */
  readonly latencyMs: number;
  /** On average over the connections; one is closed, as nginx does it, after so many calls on any. Default: never. */
  readonly callsPerConnection?: number | undefined;
}

/** All since the start. */
export interface Counts {
  readonly calls: number;
  readonly handshakes: number;
  /** Handshakes that took up an earlier session. */
  readonly resumed: number;
}

export interface Listening {
  readonly origin: string;
}

/** The document's example. */
const BODY =
  '{"errno":0,"error":"succ","data":{"target":"1.2","token":"ota_5hc95SFeo5xJEnaNrste","size":123,"signal":12,' +
  '"power":90,"retry":10,"interval":90,"md5":"dfkdajkfd","ipPort":"172.19.3.3:8002","type":1}}';
const ANSWER = answerWith();
const LAST_ANSWER = answerWith('Connection: close');
const BAD_REQUEST = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** What every server must ask, so that none has less to do than the others. */
const CALL = /^GET \/ota\/south\/tasking\?dev_id=\d+&type=1&cdn=true HTTP\/1\.1\r\n/;
const END = '\r\n\r\n';

let latencyMs = 0;
let callsPerConnection = Infinity;
let calls = 0;
let handshakes = 0;
let resumed = 0;

/** Chunked, as nginx before OneNET sends it. */
function answerWith(...fields: readonly string[]): string {
  return [
    'HTTP/1.1 200 OK',
    'Server: nginx',
    'Content-Type: application/json;charset=UTF-8',
    'Transfer-Encoding: chunked',
    ...fields,
    '',
    BODY.length.toString(16),
    BODY,
    '0\r\n\r\n',
  ].join('\r\n');
}

function answer(socket: Socket, head: string): void {
  calls++;
  const fields = head.toLowerCase();
  const wellFormed =
    CALL.test(head) &&
    fields.includes('\r\nauthorization: ') &&
    fields.includes('\r\ncontent-type: application/json');
  if (!wellFormed) socket.end(BAD_REQUEST);
  else if (fields.includes('\r\nconnection: close')) socket.end(ANSWER);
  else if (calls % callsPerConnection === 0) socket.end(LAST_ANSWER);
  else socket.write(ANSWER);
}

function serve(socket: Socket): void {
  let unread = '';
  socket.setEncoding('latin1');
  socket.on('error', () => undefined);
  socket.on('data', (chunk: string) => {
    unread += chunk;
    for (let end = unread.indexOf(END); end >= 0; end = unread.indexOf(END)) {
      const head = unread.slice(0, end + END.length);
      unread = unread.slice(end + END.length);
      if (latencyMs === 0) answer(socket, head);
      else setTimeout(() => answer(socket, head), latencyMs);
    }
  });
}

function serveTls(socket: TLSSocket): void {
  handshakes++;
  if (socket.isSessionReused()) resumed++;
  serve(socket);
}

const [key, cert] = process.argv.slice(2).map((file) => readFileSync(file));
const isTls = key !== undefined && cert !== undefined;
const server = isTls
  ? createTlsServer({ key, cert, noDelay: true }, serveTls)
  : createServer({ noDelay: true }, serve);

server.listen(0, '127.0.0.1', 4096, () => {
  const listening: Listening = {
    origin: `${isTls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
  process.send?.(listening);
});

process.on('message', (setting: Setting) => {
  ({ latencyMs, callsPerConnection = Infinity } = setting);
  const counts: Counts = { calls, handshakes, resumed };
  process.send?.(counts);
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
