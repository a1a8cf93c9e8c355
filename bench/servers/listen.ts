import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Says where the server listens, as ours does. */
export function announce(url: string): void {
  console.log(`listening at ${url}`);
}

/** How long tasks are to be kept between requests, where they are. */
export function cacheTtlSeconds(): number | undefined {
  const seconds = process.env['CACHE_TTL_SECONDS'];
  return seconds === undefined ? undefined : Number(seconds);
}

/** Listens on a free port. */
export function listen(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    announce(`http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`);
  });
}

/** Answers the body of each request, on a free port. */
export function serveJson(answer: (body: string) => Promise<string>): void {
  const server = createServer((request, response) => {
    void readBody(request)
      .then(answer)
      .then((json) => {
        response.setHeader('content-type', 'application/json; charset=utf-8');
        response.end(json);
      });
  });
  listen(server);
}

async function readBody(request: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
