import { type OtaTaskRequest, pairId } from '../ota-task.ts';
import type { ReadReference } from './device-reference.ts';
import { BAD_USER_INPUT, type Fault, OPERATION_TOO_LARGE } from './error-map.ts';
import type { OperationLimits } from './limits.ts';
import type { OperationPlan, PlannedEntities } from './operation-plan.ts';
import { RequestError } from './request-error.ts';

/** What is known of a whole operation before any of its entities is resolved. */
export interface Admission {
  /** The distinct pairs that it asks for, by id; undefined where none of its entities may be resolved. */
  readonly pairs: ReadonlyMap<string, OtaTaskRequest> | undefined;
  /** For entities that are not resolved. */
  readonly fault: Fault;
  /** How many more entities may carry an error of their own: the answer's size stays bounded. */
  errorsLeft: number;
}

/** Of keys, which cost as much to repeat as a value does. */
const CHARACTERS_PER_VALUE = 100;

/** The representations of each `_entities` field of a plan, in its order. */
export type Representations = readonly (readonly unknown[])[];

/**
 * What graphql-js has to resolve one by one, duplicates included; keys count by their length, for each is repeated.
 *
 * @param perError What an error counts, which any entity and any of its tasks may become.
 */
export function countResolvedValues(
  { entities }: OperationPlan,
  representations: Representations,
  perError: number,
): number {
  return sum(entities, representations, ({ key, fields, tasks, values }) => {
    const keys = fields.reduce((total, field) => total + field.key.length, key.length);
    return values - tasks.length + (1 + tasks.length) * perError + keys / CHARACTERS_PER_VALUE;
  });
}

/**
 * Looks at all `_entities` fields of an operation together: what they ask for must be within the limits before the first call goes
 * out, and what anybody wants to know of a pair decides how it is asked upstream.
 *
 * @throws RequestError where even nulls for all its entities would be too much.
 */
export function admitOperation(
  plan: OperationPlan | undefined,
  representations: Representations,
  limits: OperationLimits,
  readReference: ReadReference,
): Admission {
  if (plan === undefined) return refuse(BAD_USER_INPUT, limits);
  const { entities, fault } = plan;
  if (sum(entities, representations, () => 1) > limits.representations) {
    throw new RequestError('BAD_REQUEST', ['The operation repeats its representations too often.']);
  }
  if (fault !== undefined) return refuse(fault, limits);
  const isTooMuch =
    sum(entities, representations, ({ tasks }) => tasks.length) > limits.tasks ||
    sum(entities, representations, ({ values }) => values) > limits.values;
  const pairs = isTooMuch ? undefined : collectPairs(entities, representations, limits.pairs, readReference);
  return pairs === undefined
    ? refuse(OPERATION_TOO_LARGE, limits)
    : { pairs, fault: BAD_USER_INPUT, errorsLeft: limits.entityErrors };
}

/** For an operation of which no entity is resolved. */
function refuse(fault: Fault, limits: OperationLimits): Admission {
  return { pairs: undefined, fault, errorsLeft: limits.entityErrors };
}

function sum(
  entities: readonly PlannedEntities[],
  representations: Representations,
  count: (field: PlannedEntities) => number,
): number {
  return entities.reduce((total, field, i) => total + (representations[i]?.length ?? 0) * count(field), 0);
}

/** Distinct pairs by id, unless there are too many; with an address where anybody wants it. */
function collectPairs(
  entities: readonly PlannedEntities[],
  representations: Representations,
  max: number,
  readReference: ReadReference,
): Map<string, OtaTaskRequest> | undefined {
  const pairs = new Map<string, OtaTaskRequest>();
  for (const [i, { tasks }] of entities.entries()) {
    if (tasks.length === 0) continue;
    for (const representation of representations[i] ?? []) {
      const reference = readReference(representation);
      if (reference === undefined || reference.productId === null) continue;
      const { id: deviceId, productId } = reference;
      for (const { type, withAddress } of tasks) {
        const request = { deviceId, productId, type, withAddress };
        const pair = pairId(request);
        if (withAddress || !pairs.has(pair)) pairs.set(pair, request);
      }
      if (pairs.size > max) return undefined;
    }
  }
  return pairs;
}
