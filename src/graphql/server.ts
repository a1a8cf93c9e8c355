import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginCacheControl } from '@apollo/server/plugin/cacheControl';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloServerPluginInlineTrace } from '@apollo/server/plugin/inlineTrace';
import { ApolloServerPluginLandingPageLocalDefault } from '@apollo/server/plugin/landingPage/default';
import type { Logger } from 'pino';

import type { Requester } from '../ota-task.ts';
import { createAnswerReport } from './answer-report.ts';
import { type BatchExecution, createBatchExecution } from './batch-execution.ts';
import type { GraphQLContext } from './context.ts';
import { createErrorFormatter, type ReportUnforeseen } from './error-map.ts';
import { exampleOperation } from './example-operation.ts';
import { validationRules } from './validation-rules.ts';
import { createSchema } from './schema.ts';

/** A router's operation for this schema needs a few dozen. */
const MAX_TOKENS = 2000;

export interface GraphQLServerOptions {
  /** Landing page, introspection and hints at the schema in error messages. */
  readonly sandbox: boolean;
  /** What the headers of the landing page's operation open with. */
  readonly sandboxHeaders: Readonly<Record<string, string>>;
  /** Whether requests that ask for Apollo's federated trace get it. */
  readonly federatedTrace: boolean;
  /** How long caches may keep an answer without errors, each user's for that user; 0 is not at all. */
  readonly cacheMaxAgeSeconds: number;
  readonly logger: Logger;
}

export interface GraphQLServer {
  readonly apollo: ApolloServer<GraphQLContext>;
  /** Where it answers, Apollo Server would answer the same. */
  readonly answerKnown: BatchExecution['answerKnown'];
}

/**
 * Apollo Server with every choice made here: as it comes, several of them depend on `NODE_ENV` and `APOLLO_*` variables.
 */
export function createGraphQLServer({
  sandbox,
  sandboxHeaders,
  federatedTrace,
  cacheMaxAgeSeconds,
  logger,
}: GraphQLServerOptions): GraphQLServer {
  const schema = createSchema();
  const requesters = new WeakMap<object, Requester>();
  const report: ReportUnforeseen = (err, path, requester) =>
    logger.error({ err, path, ...requester?.logFields() }, 'unforeseen error, masked');
  const { plugin, answerKnown } = createBatchExecution({ schema, cacheMaxAgeSeconds, report });
  const apollo = new ApolloServer<GraphQLContext>({
    schema,
    introspection: sandbox,
    hideSchemaDetailsFromClientErrors: !sandbox,
    includeStacktraceInErrorResponses: false,
    allowBatchedHttpRequests: false,
    csrfPrevention: true,
    // Routers need no automatic persisted queries, and their store would be one that any client can fill.
    persistedQueries: false,
    validationRules: [...validationRules],
    stopOnTerminationSignals: false,
    nodeEnv: 'production',
    parseOptions: { maxLexicalTokens: MAX_TOKENS },
    formatError: createErrorFormatter({
      hints: sandbox,
      report,
      requesterOf: (error) => requesters.get(error as object),
    }),
    logger,
    plugins: [
      createAnswerReport(),
      rememberRequesters(requesters),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      cacheMaxAgeSeconds === 0
        ? ApolloServerPluginCacheControlDisabled()
        : ApolloServerPluginCacheControl({ defaultMaxAge: cacheMaxAgeSeconds }),
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
      plugin,
    ],
  });
  return { apollo, answerKnown };
}

/** The formatter of errors is not told whose they are. */
function rememberRequesters(requesters: WeakMap<object, Requester>): ApolloServerPlugin<GraphQLContext> {
  return {
    async requestDidStart() {
      return {
        async didEncounterErrors({ errors, contextValue }) {
          for (const error of errors) requesters.set(error, contextValue.requester);
        },
      };
    },
  };
}
