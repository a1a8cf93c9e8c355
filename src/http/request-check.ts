import type { FastifyRequest } from 'fastify';

import { isStudioPreflight } from '../explorers/studio-origin.ts';
import { createSecretCheck, SECRET_HEADER } from './router-secret.ts';

export const GRAPHQL_PATH = '/graphql';
export const GRAPHIQL_PATH = '/graphiql';

/** Node's own test for `Expect: 100-continue`. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

interface Refusal {
  /** HTTP status. */
  readonly status: number;
  /** The `Allow` header of a 405. */
  readonly allow?: string | undefined;
}

/** Checks on a request before its body is read. */
export interface RequestCheck {
  /** Whether a request is for the GraphQL endpoint, whatever its method and however the path is written. */
  readonly isForGraphQL: (request: FastifyRequest) => boolean;
  /** The refusal of a request, if it is refused. */
  readonly refusalOf: (request: FastifyRequest) => Refusal | undefined;
}

/**
 * Only the GraphQL endpoint requires the secret. With the sandbox enabled, its page and the answer to a preflight do
 * not, because the browser requests them before a user can enter the secret; neither contains data.
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

  /** Also true for an unknown path. The sandbox alone serves GET and OPTIONS on the GraphQL endpoint. */
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
      // Without the sandbox there is no page, so a browser gets a 404.
      return allow === undefined || isForPage(request) ? { status: 404 } : { status: 405, allow };
    },
  };
}

/** Whether the request comes from a browser that navigates to a page. */
function isForPage({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept?.includes('text/html') ?? false);
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] as string;
}

/** @see https://www.rfc-editor.org/rfc/rfc9112#name-request-target for why an invalid Host is refused. */
function isHost(host: string | undefined): boolean {
  return host !== undefined && host !== '' && URL.canParse(`http://${host}/`);
}
