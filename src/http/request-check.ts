import type { FastifyRequest } from 'fastify';

import { isStudioPreflight } from '../explorers/studio-origin.ts';
import { createSecretCheck, SECRET_HEADER } from './router-secret.ts';

export const GRAPHQL_PATH = '/graphql';
export const GRAPHIQL_PATH = '/graphiql';

/** As Node reads it. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

interface Refusal {
  /** Of HTTP. */
  readonly status: number;
  /** The methods of a path that was asked for with another. */
  readonly allow?: string | undefined;
}

/** What the hooks of a request need to know of it, before its body is read, let alone parsed. */
export interface RequestCheck {
  /** Whether it is for the GraphQL endpoint, whatever its method. The route counts, however the path is written. */
  readonly isForGraphQL: (request: FastifyRequest) => boolean;
  /** Why it is refused, if it is. */
  readonly refusalOf: (request: FastifyRequest) => Refusal | undefined;
}

/**
 * Only the GraphQL endpoint asks for the secret; and where the sandbox is on, not for what a browser gets before anybody can
 * have typed it: the page and the answer to a preflight, which hold no data.
 */
export function createRequestCheck(routerSecret: string | undefined, sandbox: boolean): RequestCheck {
  const isSecret = routerSecret === undefined ? undefined : createSecretCheck(routerSecret);
  const methods = new Map([
    [GRAPHQL_PATH, sandbox ? 'GET, POST' : 'POST'],
    ...(sandbox ? [[GRAPHIQL_PATH, 'GET'] as const] : []),
    ['/livez', 'GET'],
    ['/metrics', 'GET'],
    ['/readyz', 'GET'],
  ]);

  function isForGraphQL(request: FastifyRequest): boolean {
    return request.routeOptions.url === GRAPHQL_PATH || pathOf(request) === GRAPHQL_PATH;
  }

  function needsSecret(request: FastifyRequest): boolean {
    return isForGraphQL(request) && !(sandbox && (request.method === 'OPTIONS' || isForPage(request)));
  }

  /** Also where nothing is at the path. The sandbox has two methods of the GraphQL endpoint for itself. */
  function isWrongMethod(request: FastifyRequest): boolean {
    if (request.is404) return true;
    if (request.routeOptions.url !== GRAPHQL_PATH || request.method === 'POST') return false;
    return request.method === 'OPTIONS' ? !isStudioPreflight(request) : !isForPage(request);
  }

  return {
    isForGraphQL,
    refusalOf(request) {
      const { host, expect, [SECRET_HEADER]: secret } = request.headers;
      if (!isHost(host)) return { status: 400 };
      if (expect !== undefined && !CONTINUE.test(expect)) return { status: 417 };
      if (isSecret?.(secret) === false && needsSecret(request)) return { status: 401 };
      if (!isWrongMethod(request)) return undefined;
      const allow = methods.get(pathOf(request));
      // Where the sandbox is off, its page is not there.
      return allow === undefined || isForPage(request) ? { status: 404 } : { status: 405, allow };
    },
  };
}

/** Whether a browser asks for a page, rather than a program for data. */
function isForPage({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept?.includes('text/html') ?? false);
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] as string;
}

/** @see https://www.rfc-editor.org/rfc/rfc9112#name-request-target for why any other Host is refused. */
function isHost(host: string | undefined): boolean {
  return host !== undefined && host !== '' && URL.canParse(`http://${host}/`);
}
