import type { Logger } from 'pino';

import type { FetchOtaTasks } from '../ask-ota-tasks.ts';
import type { RequestScope } from '../request-scope.ts';
import { type Admission, admitOperation } from './admission.ts';
import { type WrittenAnswer, writeErrors } from './answer-writer.ts';
import type { Example, RunningApolloServer } from './apollo-server.ts';
import { createContext } from './context.ts';
import { createReferenceReader } from './device-reference.ts';
import { type Engine, engineFor } from './engine.ts';
import type { ReportUnforeseen } from './error-map.ts';
import { executePlan } from './execute-plan.ts';
import { readGraphQLRequest } from './graphql-request.ts';
import { describeOperation } from './describe-operation.ts';
import { limitsFor } from './limits.ts';
import { createOperationCache } from './operation-cache.ts';
import { RequestError } from './request-error.ts';
import { createSchema, type SchemaOptions } from './schema.ts';

export interface GraphQLServerOptions {
  readonly fetchOtaTasks: FetchOtaTasks;
  readonly schema: SchemaOptions;
  /** Whether credentials for a product are configured at the moment; called only if there are several products. */
  readonly isProduct: (productId: string) => boolean;
  /** The maximum number of distinct (device, type) pairs in one operation. */
  readonly maxDeviceTasks: number;
  /** Enables the landing page, introspection and suggestions in error messages. */
  readonly sandbox: boolean;
  /** What the landing page is prefilled with. */
  readonly example: Example;
  /** Whether a request that asks for Apollo's federated trace gets it. */
  readonly federatedTrace: boolean;
  /** How long HTTP caches may keep an answer without errors (entities only privately, per user); 0 disables caching. */
  readonly cacheMaxAgeSeconds: number;
  readonly logger: Logger;
}

interface GraphQLRequest {
  /** The parsed JSON, not yet validated. */
  readonly body: unknown;
  /** Whether the request asks for Apollo's federated trace. */
  readonly wantsFederatedTrace: boolean;
  readonly scope: RequestScope;
}

export interface GraphQLAnswer extends WrittenAnswer {
  /** The outcome of the request: no errors, data with errors, or only errors. */
  readonly kind: 'ok' | 'partial' | 'failed';
  /** The `Cache-Control` header; undefined if none is sent. */
  readonly cacheControl: string | undefined;
  /** What executed the operation; undefined if it was not executed. */
  readonly engine: Engine | undefined;
}

export interface GraphQLServer {
  answer(request: GraphQLRequest): Promise<GraphQLAnswer>;
  /** Apollo Sandbox as HTML. */
  landingPage(): Promise<string>;
  stop(): Promise<void>;
}

/** Takes a request through all its steps: read, prepare (parse, validate, plan), admit, execute. */
export function createGraphQLServer(options: GraphQLServerOptions): GraphQLServer {
  const { fetchOtaTasks, maxDeviceTasks, sandbox, federatedTrace, cacheMaxAgeSeconds, logger } = options;
  const schema = createSchema(options.schema);
  const limits = limitsFor(maxDeviceTasks);
  const prepare = createOperationCache(schema, { sandbox });
  const report: ReportUnforeseen = (err, path, scope) =>
    logger.error({ err, path, ...scope.logFields() }, 'unforeseen error, masked');
  let starting: Promise<RunningApolloServer> | undefined;

  /** Starts Apollo Server when it is first needed, because many replicas never need it: loading it takes 20 ms. */
  async function apollo(): Promise<RunningApolloServer> {
    starting ??= import('./apollo-server.ts').then(({ startApolloServer }) =>
      startApolloServer({ ...options, schema, report }),
    );
    try {
      return await starting;
    } catch (error) {
      // The next request tries again.
      starting = undefined;
      throw error;
    }
  }

  async function execute({ body, wantsFederatedTrace, scope }: GraphQLRequest): Promise<GraphQLAnswer> {
    const request = readGraphQLRequest(body);
    const readReference = createReferenceReader(options.schema.productField?.name, options.isProduct);
    const { document, plan, representations } = prepare(request);
    scope.trace?.operation(describeOperation(document, request.operationName));
    const wantsTrace = federatedTrace && wantsFederatedTrace;
    const engine = engineFor(plan, representations, wantsTrace);
    const admit = (): Admission => admitOperation(plan, representations, limits, readReference);
    const context = createContext(fetchOtaTasks, readReference, admit(), scope);
    const hasEntities = representations.length > 0;
    if (engine === 'graphql-js') {
      const server = await apollo();
      const written = await server.execute(request, document, context, wantsTrace, limits.answerBytes);
      if (written !== undefined) return complete(written, engine, hasEntities);
    }
    // An answer that is too large with its trace may not be so without; if it is, the plan says it as routers need it.
    if (!plan?.onlyEntities) throw new RequestError('BAD_REQUEST', ['The answer would be too large.']);
    const fresh = engine === 'plan' ? context : { ...context, admission: admit() };
    return complete(await executePlan(plan, representations, limits, fresh, report), engine, hasEntities);
  }

  function complete(written: WrittenAnswer, engine?: Engine, isPrivate = false): GraphQLAnswer {
    const { json, refusal, hasData, errorCounts } = written;
    const isFaultless = errorCounts.size === 0;
    // Not spread: that takes 1.5 µs of a request for one device.
    return {
      json,
      refusal,
      hasData,
      errorCounts,
      engine,
      kind: isFaultless ? 'ok' : hasData ? 'partial' : 'failed',
      // Computed here rather than with `@cacheControl`, whose type would become part of every supergraph and whose
      // arguments cannot be configured.
      cacheControl:
        cacheMaxAgeSeconds === 0
          ? undefined
          : isFaultless
            ? `max-age=${cacheMaxAgeSeconds}, ${isPrivate ? 'private' : 'public'}`
            : 'no-store',
    };
  }

  return {
    async answer(request) {
      try {
        return await execute(request);
      } catch (error) {
        if (error instanceof RequestError) return complete(writeErrors(error));
        throw error;
      }
    },
    landingPage: async () => (await apollo()).landingPage(),
    stop: async () => (await starting)?.stop(),
  };
}
