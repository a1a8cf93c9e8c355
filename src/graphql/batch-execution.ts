import { type ApolloServerPlugin, HeaderMap } from '@apollo/server';
import {
  type GraphQLFormattedError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SourceLocation,
} from 'graphql';

import { downloadUrl, isAbsent, type OtaTask, type OtaTaskAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import { admitOperation } from './admission.ts';
import { reportAnswer } from './answer-report.ts';
import type { GraphQLContext } from './context.ts';
import { deviceIdIn } from './device-reference.ts';
import { type Fault, faultOf, type ReportUnforeseen } from './error-map.ts';
import { pairId } from './loader.ts';
import type { OperationPlan, PlannedField } from './operation-plan.ts';
import { createKnownOperations } from './known-operations.ts';
import { createPlanCache } from './plan-cache.ts';

type Json = Record<string, unknown>;

interface BatchResult {
  readonly data: Json;
  readonly errors?: readonly GraphQLFormattedError[];
}

export interface BatchExecution {
  /** Has Apollo Server answer operations that it has parsed and validated. */
  readonly plugin: ApolloServerPlugin<GraphQLContext>;
  /**
   * Answers the body of a request whose operation the plugin has met before, without Apollo Server, whose pipeline is a
   * third of what a request of one device costs.
   *
   * @returns The answer, or nothing where Apollo Server has to answer.
   */
  readonly answerKnown: (body: unknown, context: GraphQLContext) => Promise<KnownAnswer | undefined>;
}

interface KnownAnswer {
  readonly body: string;
  readonly cacheControl: string | undefined;
}

interface BatchOptions {
  readonly schema: GraphQLSchema;
  /** 0 where nothing is to be said to caches. */
  readonly cacheMaxAgeSeconds: number;
  readonly report: ReportUnforeseen;
}

/**
 * Answers what routers send, operations of `_entities` alone, from their plan. graphql-js, which walks every field of
 * every entity, would cost as much again as all the rest; it does whatever is left to it, and traced requests.
 */
export function createBatchExecution({ schema, cacheMaxAgeSeconds, report }: BatchOptions): BatchExecution {
  const planOf = createPlanCache(schema);
  const known = createKnownOperations(planOf);

  const plugin: ApolloServerPlugin<GraphQLContext> = {
    async requestDidStart({ metrics }) {
      return {
        async responseForOperation(requested) {
          const { source, document, operation, request, contextValue } = requested;
          // Someone else instruments each field. And whatever its type says, an operation that is named but not there is
          // undefined here.
          const traced = metrics.captureTraces === true || contextValue.requester.trace !== undefined;
          if (traced || !(operation as OperationDefinitionNode | undefined)) return null;
          const variables = request.variables ?? {};
          const plan = planOf(document, operation, variables);
          if (plan === undefined) return null;
          known.remember(source, document, operation);
          const singleResult = await executePlan(plan, variables, contextValue, report);
          if (singleResult === undefined) return null;
          // Where graphql-js executes, the resolver of the entities gives this hint.
          if (plan.entities.length > 0) {
            requested.overallCachePolicy.restrict({ maxAge: cacheMaxAgeSeconds, scope: 'PRIVATE' });
          }
          return { body: { kind: 'single', singleResult }, http: { headers: new HeaderMap() } };
        },
      };
    },
  };

  /** As Apollo Server writes it. */
  function cacheControl({ entities }: OperationPlan, { errors }: BatchResult): string | undefined {
    if (cacheMaxAgeSeconds === 0) return undefined;
    return errors === undefined && entities.length > 0
      ? `max-age=${cacheMaxAgeSeconds}, private`
      : 'no-store';
  }

  async function answerKnown(body: unknown, context: GraphQLContext): Promise<KnownAnswer | undefined> {
    if (context.requester.trace !== undefined) return undefined;
    const found = known.find(body);
    if (found === undefined) return undefined;
    const result = await executePlan(found.plan, found.variables, context, report);
    if (result === undefined) return undefined;
    reportAnswer(result, context);
    return {
      body: `${JSON.stringify({ errors: result.errors, data: result.data })}\n`,
      cacheControl: cacheControl(found.plan, result),
    };
  }

  return { plugin, answerKnown };
}

async function executePlan(
  plan: OperationPlan,
  variables: Readonly<Record<string, unknown>>,
  context: GraphQLContext,
  report: ReportUnforeseen,
): Promise<BatchResult | undefined> {
  const admission = admitOperation(plan, variables, context);
  if (admission === undefined) return undefined;
  const { pairs } = admission;
  const outcomes = new Map<string, OtaTaskOutcome | Error>();
  if (pairs !== undefined) {
    // Not through the loader: the plan has gathered each pair once, which is all that the loader could do.
    const loaded = await context.fetch([...pairs.values()]).catch(failAll(pairs.size));
    let i = 0;
    for (const pair of pairs.keys()) outcomes.set(pair, loaded[i++] as OtaTaskOutcome | Error);
  }

  const errors: GraphQLFormattedError[] = [];
  const data: Json = {};
  for (const { key, locations, representationsIn, fields } of plan.entities) {
    const completions = fields.map((field) => ({ ...field, of: createCompletion(field, outcomes) }));
    data[key] = representationsIn(variables).map((representation, index) => {
      const deviceId = pairs && deviceIdIn(representation);
      if (deviceId === undefined) {
        if (admission.errorsLeft-- > 0) addError(admission.fault, locations, [key, index]);
        return null;
      }
      const entity: Json = {};
      for (const completion of completions) {
        const { value, fault } = completion.of(deviceId);
        if (fault !== undefined) addError(fault, completion.locations, [key, index, completion.key]);
        entity[completion.key] = value;
      }
      return entity;
    });
  }
  return errors.length === 0 ? { data } : { data, errors };

  function addError(
    { message, extensions, cause }: Fault,
    locations: readonly SourceLocation[],
    path: (string | number)[],
  ): void {
    if (cause !== undefined) report(cause, path, context.requester);
    errors.push({ message, locations, path, extensions });
  }
}

/** What a field of a device comes to: a value, or null and why. */
interface Completed {
  readonly value: unknown;
  readonly fault?: Fault | undefined;
}

/** Completes a field for one device after the other, for the same device only once. */
function createCompletion(
  { name, task }: PlannedField,
  outcomes: ReadonlyMap<string, OtaTaskOutcome | Error>,
): (deviceId: string) => Completed {
  if (task === undefined) return (id) => ({ value: name === 'id' ? id : 'Device' });
  const { type, ofTask, ofAbsent } = task;
  const known = new Map<string, Completed>();

  function complete(deviceId: string): Completed {
    const key = { deviceId, type };
    const outcome = outcomes.get(pairId(key)) as OtaTaskOutcome | Error;
    const fault = faultOf(name, outcome, key);
    if (fault !== undefined || outcome instanceof Error) return { value: null, fault };
    const value: Json = {};
    if (isAbsent(outcome))
      for (const field of ofAbsent) value[field.key] = absenceValueOf(outcome, field.name);
    else for (const field of ofTask) value[field.key] = taskValueOf(outcome, field.name);
    return { value };
  }

  return (deviceId) => {
    let completed = known.get(deviceId);
    if (completed === undefined) known.set(deviceId, (completed = complete(deviceId)));
    return completed;
  };
}

function absenceValueOf(absent: OtaTaskAbsent, field: string): unknown {
  return field === '__typename' ? 'OtaTaskAbsent' : absent[field as keyof OtaTaskAbsent];
}

function taskValueOf(task: OtaTask, field: string): unknown {
  if (field === '__typename') return 'OtaTask';
  return field === 'downloadUrl' ? downloadUrl(task) : task[field as keyof OtaTask];
}

/** As the loader would. */
function failAll(count: number): (error: unknown) => Error[] {
  return (error) => Array<Error>(count).fill(error as Error);
}
