import { ApolloServer, type ApolloServerPlugin, HeaderMap, type HTTPGraphQLRequest } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloServerPluginInlineTrace } from '@apollo/server/plugin/inlineTrace';
import { ApolloServerPluginLandingPageLocalDefault } from '@apollo/server/plugin/landingPage/default';
import type { DocumentNode, GraphQLFormattedError, GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';

import type { WrittenAnswer } from './answer-writer.ts';
import type { GraphQLContext } from './context.ts';
import { formatError, type ReportUnforeseen, reportUnforeseen } from './error-map.ts';
import { exampleOperation } from '../explorers/example-operation.ts';
import type { OperationRequest } from './operation-cache.ts';
import { RequestError } from './request-error.ts';

export interface ApolloServerOptions {
  readonly schema: GraphQLSchema;
  /** Landing page, introspection and suggestions in error messages. */
  readonly sandbox: boolean;
  /** What the headers of the landing page's operation open with. */
  readonly sandboxHeaders: Readonly<Record<string, string>>;
  /** Whether requests that ask for Apollo's federated trace get it. */
  readonly federatedTrace: boolean;
  readonly report: ReportUnforeseen;
  readonly logger: Logger;
}

interface ApolloContext extends GraphQLContext {
  readonly document: DocumentNode;
}

export interface RunningApolloServer {
  /**
   * Executes an operation that was prepared.
   *
   * @throws RequestError where the answer has more than `maxBytes`.
   */
  execute(
    request: OperationRequest,
    document: DocumentNode,
    context: GraphQLContext,
    wantsFederatedTrace: boolean,
    maxBytes: number,
  ): Promise<WrittenAnswer>;
  /** Apollo Sandbox as HTML, where it is on. */
  landingPage(): Promise<string>;
  stop(): Promise<void>;
}

/** The headers that the plugin for Apollo's federated trace looks for. */
const FEDERATED_TRACE: HTTPGraphQLRequest = {
  method: 'POST',
  headers: new HeaderMap([['apollo-federation-include-trace', 'ftv1']]),
  search: '',
  body: undefined,
};

/** Executes field by field, by graphql-js, what is not executed by plan; and shows the landing page. */
export async function startApolloServer(options: ApolloServerOptions): Promise<RunningApolloServer> {
  const apollo = createApolloServer(options);
  await apollo.start();
  return {
    async execute(request, document, context, wantsFederatedTrace, maxBytes) {
      const { http, body } = await apollo.executeOperation(
        { ...request, ...(wantsFederatedTrace && { http: FEDERATED_TRACE }) },
        { contextValue: { ...context, document } },
      );
      // Only what is deferred comes in pieces, and the schema has nothing to defer.
      const { errors, data, extensions } = (body as Extract<typeof body, { kind: 'single' }>).singleResult;
      const json = `${JSON.stringify({ errors, data, extensions })}\n`;
      if (Buffer.byteLength(json) > maxBytes)
        throw new RequestError('BAD_REQUEST', ['The answer would be too large.']);
      return { json, status: http.status ?? 200, hasData: Boolean(data), errorCounts: countByCode(errors) };
    },
    async landingPage() {
      const headers = new HeaderMap([['accept', 'text/html']]);
      const { body } = await apollo.executeHTTPGraphQLRequest({
        httpGraphQLRequest: { method: 'GET', headers, search: '', body: undefined },
        context: () => Promise.reject(new Error('the landing page has no context')),
      });
      return (body as Extract<typeof body, { kind: 'complete' }>).string;
    },
    stop: () => apollo.stop(),
  };
}

function countByCode(errors: readonly GraphQLFormattedError[] = []): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { extensions } of errors) {
    const code = String(extensions?.['code']);
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  return counts;
}

/** With every choice made here: as it comes, several of them depend on `NODE_ENV` and `APOLLO_*` variables. */
function createApolloServer({
  schema,
  sandbox,
  sandboxHeaders,
  federatedTrace,
  report,
  logger,
}: ApolloServerOptions): ApolloServer<ApolloContext> {
  return new ApolloServer<ApolloContext>({
    schema,
    introspection: sandbox,
    hideSchemaDetailsFromClientErrors: !sandbox,
    includeStacktraceInErrorResponses: false,
    allowBatchedHttpRequests: false,
    csrfPrevention: true,
    // Routers need no automatic persisted queries, and their store would be one that any client can fill.
    persistedQueries: false,
    documentStore: null,
    stopOnTerminationSignals: false,
    nodeEnv: 'production',
    formatError,
    logger,
    plugins: [
      useOwnDocuments(report),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginCacheControlDisabled(),
      federatedTrace
        ? ApolloServerPluginInlineTrace({ includeErrors: { unmodified: true } })
        : ApolloServerPluginInlineTraceDisabled(),
      sandbox
        ? ApolloServerPluginLandingPageLocalDefault({
            ...exampleOperation,
            headers: { ...sandboxHeaders },
            embed: { runTelemetry: false },
            includeCookies: false,
          })
        : ApolloServerPluginLandingPageDisabled(),
    ],
  });
}

/** Has Apollo Server take the document that was validated here, and report what goes wrong in executing it. */
function useOwnDocuments(report: ReportUnforeseen): ApolloServerPlugin<ApolloContext> {
  return {
    async requestDidStart() {
      return {
        async didResolveSource(requestContext) {
          // It parses and validates only what has no document yet.
          Object.assign(requestContext, { document: requestContext.contextValue.document });
        },
        async didEncounterErrors({ errors, contextValue }) {
          reportUnforeseen(errors, contextValue.scope, report);
        },
      };
    },
  };
}
