import { type ApolloServerPlugin, HeaderMap } from '@apollo/server';
import {
  getLocation,
  getVariableValues,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  type SourceLocation,
} from 'graphql';

import { type DeviceTaskKey, downloadUrl, isAbsent, type OtaTask, type OtaTaskOutcome } from '../ota-task.ts';
import { admitOperation } from './admission.ts';
import type { GraphQLContext } from './context.ts';
import { readReference } from './device-reference.ts';
import { type FormatError, loadFailed, taskAbsent } from './error-map.ts';
import { pairId } from './loader.ts';
import {
  type OperationPlan,
  type PlannedEntities,
  type PlannedField,
  planOperation,
  type PlanSource,
} from './operation-plan.ts';

/** graphql-js' own limit for the errors of an operation's variables. */
const MAX_VARIABLE_ERRORS = 50;

type Json = Record<string, unknown>;

interface BatchResult {
  readonly data: Json;
  readonly errors?: readonly GraphQLFormattedError[];
}

/**
 * Answers what routers send, operations of `_entities` alone, from their plan. graphql-js, which walks every field of
 * every entity, would cost as much again as all the rest; it does whatever is left to it, and traced requests.
 *
 * @param formatError The gate that errors pass there, too.
 */
export function createBatchExecution(
  schema: GraphQLSchema,
  formatError: FormatError,
): ApolloServerPlugin<GraphQLContext> {
  return {
    async requestDidStart({ metrics }) {
      return {
        async responseForOperation({ document, operation, request, contextValue }) {
          // Someone else instruments each field. And whatever its type says, an operation that is named but not there is
          // undefined here.
          if (metrics.captureTraces === true || !(operation as OperationDefinitionNode | undefined))
            return null;
          const { coerced } = getVariableValues(
            schema,
            operation.variableDefinitions ?? [],
            request.variables ?? {},
            { maxErrors: MAX_VARIABLE_ERRORS },
          );
          if (coerced === undefined) return null;
          const fragments: Record<string, FragmentDefinitionNode> = {};
          for (const definition of document.definitions) {
            if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition;
          }
          const plan = tryToPlan({ schema, operation, fragments, variableValues: coerced });
          if (plan === undefined || !isPlain(plan)) return null;
          const singleResult = await executePlan(plan, contextValue, formatError);
          if (singleResult === undefined) return null;
          return { body: { kind: 'single', singleResult }, http: { headers: new HeaderMap() } };
        },
      };
    },
  };
}

function tryToPlan(source: PlanSource): OperationPlan | undefined {
  try {
    return planOperation(source);
  } catch {
    return undefined;
  }
}

/** As a key of an object this one alone is special. */
function isPlain({ entities, onlyEntities }: OperationPlan): boolean {
  const fields = entities.flatMap((entity) => entity.fields);
  const ofTasks = fields.flatMap(({ task }) =>
    task === undefined ? [] : [...task.ofTask, ...task.ofAbsent],
  );
  return onlyEntities && ![...entities, ...fields, ...ofTasks].some(({ key }) => key === '__proto__');
}

async function executePlan(
  { entities }: OperationPlan,
  context: GraphQLContext,
  formatError: FormatError,
): Promise<BatchResult | undefined> {
  const admission = admitOperation(entities, context);
  if (admission === undefined) return undefined;
  const outcomes = admission.admitted ? await loadOutcomes(entities, context) : NONE;

  const errors: GraphQLFormattedError[] = [];
  const data: Json = {};
  for (const { key, nodes, representations, fields } of entities) {
    const locations = locationsOf(nodes);
    const complete = fields.map((field) => createCompletion(field, outcomes));
    data[key] = representations.map((representation, index) => {
      const device = admission.admitted ? readReference(representation) : undefined;
      if (device === undefined) {
        if (admission.errorsLeft-- > 0) report(admission.refuse(), locations, [key, index]);
        return null;
      }
      const entity: Json = {};
      fields.forEach((field, i) => {
        const completed = (complete[i] as Completion).of(device.id);
        const { error } = completed;
        if (error !== undefined) {
          report(error, (complete[i] as Completion).locations, [key, index, field.key]);
        }
        entity[field.key] = completed.value;
      });
      return entity;
    });
  }
  return errors.length === 0 ? { data } : { data, errors };

  function report(
    error: GraphQLError,
    locations: readonly SourceLocation[],
    path: (string | number)[],
  ): void {
    const { message, extensions } = error;
    errors.push(formatError({ message, locations, path, extensions }, error));
  }
}

const NONE: ReadonlyMap<string, OtaTaskOutcome | Error> = new Map();

/** All pairs are handed to the loader at once. */
async function loadOutcomes(
  entities: readonly PlannedEntities[],
  { loader }: GraphQLContext,
): Promise<ReadonlyMap<string, OtaTaskOutcome | Error>> {
  const keys = new Map<string, DeviceTaskKey>();
  for (const { representations, tasks } of entities) {
    for (const representation of representations) {
      const deviceId = readReference(representation)?.id;
      if (deviceId === undefined) continue;
      for (const { type } of tasks) {
        const key = { deviceId, type };
        keys.set(pairId(key), key);
      }
    }
  }
  const loaded = await loader.loadMany([...keys.values()]);
  return new Map([...keys.keys()].map((pair, i) => [pair, loaded[i] as OtaTaskOutcome | Error]));
}

/** What a field of a device comes to: a value, or null and an error that lacks its place in the answer. */
interface Completed {
  readonly value: unknown;
  readonly error?: GraphQLError;
}

interface Completion {
  readonly locations: readonly SourceLocation[];
  of(deviceId: string): Completed;
}

/** Completes a field for one device after the other, for the same device only once. */
function createCompletion(
  { name, nodes, task }: PlannedField,
  outcomes: ReadonlyMap<string, OtaTaskOutcome | Error>,
): Completion {
  const locations = locationsOf(nodes);
  if (task === undefined) {
    return { locations, of: (id) => ({ value: name === 'id' ? id : 'Device' }) };
  }
  const { type, ofTask, ofAbsent } = task;
  const known = new Map<string, Completed>();

  function complete(deviceId: string): Completed {
    const key = { deviceId, type };
    const outcome = outcomes.get(pairId(key)) as OtaTaskOutcome | Error;
    if (outcome instanceof Error) return { value: null, error: loadFailed(outcome, key) };
    const value: Json = {};
    if (!isAbsent(outcome)) {
      for (const field of ofTask) value[field.key] = valueOf(outcome, field.name);
    } else if (name === 'otaTask') {
      return { value: null, error: taskAbsent(outcome, key) };
    } else {
      for (const field of ofAbsent) {
        value[field.key] =
          field.name === '__typename' ? 'OtaTaskAbsent' : outcome[field.name as keyof typeof outcome];
      }
    }
    return { value };
  }

  return {
    locations,
    of(deviceId) {
      let completed = known.get(deviceId);
      if (completed === undefined) known.set(deviceId, (completed = complete(deviceId)));
      return completed;
    },
  };
}

function valueOf(task: OtaTask, field: string): unknown {
  if (field === '__typename') return 'OtaTask';
  return field === 'downloadUrl' ? downloadUrl(task) : task[field as keyof OtaTask];
}

function locationsOf(nodes: readonly FieldNode[]): SourceLocation[] {
  return nodes.flatMap(({ loc }) => (loc === undefined ? [] : getLocation(loc.source, loc.start)));
}
