import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import type { FastifyInstance } from 'fastify';

import { packageFile } from '../package-file.ts';
import { exampleWithoutVariables } from './example-operation.ts';

/** Options that the build renders into the page; the service replaces them with the complete ones. */
export const BUILD_OPTIONS = { title: 'onenet-ota-subgraph' } as const;

const compress = promisify(gzip);

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  // The page is one inline script that contains its workers. It can load nothing and connect only to this service.
  'content-security-policy':
    "default-src 'none'; script-src 'unsafe-inline'; worker-src blob:; style-src 'unsafe-inline'; img-src data:; " +
    "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
};

/**
 * Serves GraphiQL, which loads nothing from other hosts.
 *
 * @param headers Headers with which its editor is prefilled.
 */
export function serveGraphiQL(
  server: FastifyInstance,
  path: string,
  headers: Readonly<Record<string, string>>,
): void {
  void server.register(async (scope) => {
    // The page has 9 MB. It is never a string, and as one buffer it is shared by all readers.
    const page = fillIn(await readFile(packageFile('dist/graphiql.html')), headers);
    let compressed: Promise<Buffer> | undefined;
    scope.get(path, async (request, reply) => {
      void reply.headers(HEADERS);
      if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(page);
      // Compressed, it has 2 MB.
      compressed ??= compress(page);
      return reply.header('content-encoding', 'gzip').send(await compressed);
    });
  });
}

function fillIn(page: Buffer, headers: Readonly<Record<string, string>>): Buffer {
  const options = {
    ...BUILD_OPTIONS,
    endpoint: '/graphql',
    defaultQuery: exampleWithoutVariables,
    variables: '{}',
    headers: JSON.stringify(headers, null, 2),
    // The headers typed in may include the secret.
    shouldPersistHeaders: false,
  };
  const placeholder = JSON.stringify(BUILD_OPTIONS);
  const at = page.indexOf(placeholder);
  return Buffer.concat([
    page.subarray(0, at),
    Buffer.from(JSON.stringify(options)),
    page.subarray(at + placeholder.length),
  ]);
}
