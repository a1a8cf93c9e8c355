import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import type { FastifyInstance } from 'fastify';

import { exampleOperation } from './example-operation.ts';

/** Rendered by the build, so that an installation for production carries neither the package nor what comes with it. */
const PAGE_FILE = new URL('../../dist/graphiql.html', import.meta.url);
/** The options that the build renders the page with; here it gets the others. */
export const BUILD_OPTIONS = { title: 'onenet-ota-subgraph' } as const;

const compress = promisify(gzip);

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  // The page is one inline script with its workers in it. It can load nothing and call nobody but this service.
  'content-security-policy':
    "default-src 'none'; script-src 'unsafe-inline'; worker-src blob:; style-src 'unsafe-inline'; img-src data:; " +
    "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  vary: 'accept-encoding',
  'x-content-type-options': 'nosniff',
};

/**
 * Serves GraphiQL, which needs nothing from elsewhere.
 *
 * @param headers What its headers editor opens with.
 */
export function serveGraphiQL(
  server: FastifyInstance,
  path: string,
  headers: Readonly<Record<string, string>>,
): void {
  void server.register(async (scope) => {
    // Nine megabytes: as a buffer, all readers share them.
    const page = Buffer.from(fillIn(await readFile(PAGE_FILE, 'utf8'), headers));
    let compressed: Promise<Buffer> | undefined;
    scope.get(path, async (request, reply) => {
      void reply.headers(HEADERS);
      if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(page);
      // They become two.
      compressed ??= compress(page);
      return reply.header('content-encoding', 'gzip').send(await compressed);
    });
  });
}

function fillIn(page: string, headers: Readonly<Record<string, string>>): string {
  const options = {
    ...BUILD_OPTIONS,
    endpoint: '/graphql',
    defaultQuery: exampleOperation.document,
    variables: JSON.stringify(exampleOperation.variables, null, 2),
    headers: JSON.stringify(headers, null, 2),
    // What is typed there may be the secret.
    shouldPersistHeaders: false,
  };
  // As a function: what `replace` would make of a `$` in a string is none of the operation's business.
  return page.replace(JSON.stringify(BUILD_OPTIONS), () => JSON.stringify(options));
}
