// A process of its own that stands in for OneNET and costs as little as possible: one constant answer, written as it is.
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Sets what follows and asks for the calls so far; answered with `Calls`. */
export interface Setting {
  /** Milliseconds before each answer. */
  readonly latencyMs: number;
}

export interface Calls {
  /** All since the start. */
  readonly calls: number;
}

export interface Listening {
  readonly origin: string;
}

/** The document's example. */
const BODY =
  '{"errno":0,"error":"succ","data":{"target":"1.2","token":"ota_5hc95SFeo5xJEnaNrste","size":123,"signal":12,' +
  '"power":90,"retry":10,"interval":90,"md5":"dfkdajkfd","ipPort":"172.19.3.3:8002","type":1}}';
/** Chunked, as nginx before OneNET sends it. */
const ANSWER = [
  'HTTP/1.1 200 OK',
  'Server: nginx',
  'Content-Type: application/json;charset=UTF-8',
  'Transfer-Encoding: chunked',
  '',
  BODY.length.toString(16),
  BODY,
  '0\r\n\r\n',
].join('\r\n');
const BAD_REQUEST = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** What every server must ask, so that none has less to do than the others. */
const CALL = /^GET \/ota\/south\/tasking\?dev_id=\d+&type=1&cdn=true HTTP\/1\.1\r\n/;
const END = '\r\n\r\n';

let latencyMs = 0;
let calls = 0;

function answer(socket: Socket, head: string): void {
  calls++;
  const fields = head.toLowerCase();
  const wellFormed =
    CALL.test(head) &&
    fields.includes('\r\nauthorization: ') &&
    fields.includes('\r\ncontent-type: application/json');
  if (!wellFormed) socket.end(BAD_REQUEST);
  else if (fields.includes('\r\nconnection: close')) socket.end(ANSWER);
  else socket.write(ANSWER);
}

const server = createServer({ noDelay: true }, (socket) => {
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
});

server.listen(0, '127.0.0.1', 4096, () => {
  const listening: Listening = { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  process.send?.(listening);
});

process.on('message', (setting: Setting) => {
  ({ latencyMs } = setting);
  const answered: Calls = { calls };
  process.send?.(answered);
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
