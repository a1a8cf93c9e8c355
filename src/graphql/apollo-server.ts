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
import type { OperationRequest } from './operation-cache.ts';

export interface ApolloServerOptions {
  readonly schema: GraphQLSchema;
  /** Enables the landing page, introspection and suggestions in error messages. */
  readonly sandbox: boolean;
  /** What the landing page is prefilled with. */
  readonly example: Example;
  /** Whether a request that asks for Apollo's federated trace gets it. */
  readonly federatedTrace: boolean;
  readonly report: ReportUnforeseen;
  readonly logger: Logger;
}

/** An operation, and the headers to send it with. */
export interface Example {
  readonly document: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

interface ApolloContext extends GraphQLContext {
  readonly document: DocumentNode;
}

export interface RunningApolloServer {
  /**
   * Executes an operation that is already parsed and validated.
   *
   * @returns Nothing where the answer has more than `maxBytes`.
   */
  execute(
    request: OperationRequest,
    document: DocumentNode,
    context: GraphQLContext,
    wantsFederatedTrace: boolean,
    maxBytes: number,
  ): Promise<WrittenAnswer | undefined>;
  /** Apollo Sandbox as HTML, where it is on. */
  landingPage(): Promise<string>;
  stop(): Promise<void>;
}

/** The request headers that make Apollo's inline trace plugin add its trace. */
const FEDERATED_TRACE: HTTPGraphQLRequest = {
  method: 'POST',
  headers: new HeaderMap([['apollo-federation-include-trace', 'ftv1']]),
  search: '',
  body: undefined,
};

/**
 * Starts the Apollo Server that executes, with graphql-js, every operation that does not run as a plan. It also serves
 * the landing page.
 */
export async function startApolloServer(options: ApolloServerOptions): Promise<RunningApolloServer> {
  const apollo = createApolloServer(options);
  await apollo.start();
  return {
    async execute(request, document, context, wantsFederatedTrace, maxBytes) {
      const { body } = await apollo.executeOperation(
        { ...request, ...(wantsFederatedTrace && { http: FEDERATED_TRACE }) },
        { contextValue: { ...context, document } },
      );
      // Only incremental delivery (`@defer`) produces several results, and this schema does not offer it.
      const { errors, data, extensions } = (body as Extract<typeof body, { kind: 'single' }>).singleResult;
      const json = `${JSON.stringify({ errors, data, extensions })}\n`;
      if (Buffer.byteLength(json) > maxBytes) return undefined;
      return { json, refusal: undefined, hasData: Boolean(data), errorCounts: countByCode(errors) };
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

/** Sets every option explicitly, because several defaults depend on `NODE_ENV` and `APOLLO_*` variables. */
function createApolloServer({
  schema,
  sandbox,
  example,
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
    // Routers do not need automatic persisted queries, and any client could fill their store.
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
            document: example.document,
            variables: { ...example.variables },
            headers: { ...example.headers },
            embed: { runTelemetry: false },
            includeCookies: false,
          })
        : ApolloServerPluginLandingPageDisabled(),
    ],
  });
}

/** Makes Apollo Server use the document that this service validated, and reports errors that occur during execution. */
function useOwnDocuments(report: ReportUnforeseen): ApolloServerPlugin<ApolloContext> {
  return {
    async requestDidStart() {
      return {
        async didResolveSource(requestContext) {
          // Apollo Server parses and validates only if the request has no document yet.
          Object.assign(requestContext, { document: requestContext.contextValue.document });
        },
        async didEncounterErrors({ errors, contextValue }) {
          reportUnforeseen(errors, contextValue.scope, report);
        },
      };
    },
  };
}
