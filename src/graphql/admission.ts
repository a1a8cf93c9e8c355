import { type OtaTaskOutcome, type OtaTaskRequest, pairId } from '../ota-task.ts';
import type { ReadReference } from './device-reference.ts';
import { BAD_USER_INPUT, type Fault, OPERATION_TOO_LARGE } from './error-map.ts';
import type { OperationLimits } from './limits.ts';
import type { OperationPlan, PlannedEntities } from './operation-plan.ts';
import { RequestError } from './request-error.ts';

/** A pair that an operation asks for. */
export interface Pair extends OtaTaskRequest {
  /** Undefined until it is loaded. */
  outcome: OtaTaskOutcome | Error | undefined;
}

/** The distinct pairs of an operation, by id. */
export type Pairs = ReadonlyMap<string, Pair>;

/** What is decided about a whole operation before any of its entities is resolved. */
export interface Admission {
  /** Undefined if none of the entities may be resolved. */
  readonly pairs: Pairs | undefined;
  /** The error of each entity that is not resolved. */
  readonly fault: Fault;
  /** How many more entities may carry an error of their own. This bounds the size of the answer. */
  errorsLeft: number;
}

/** Response keys are repeated in the answer, so this many of their characters count as one value. */
const CHARACTERS_PER_VALUE = 100;

/** The representations of each `_entities` field of a plan, in the plan's order. */
export type Representations = readonly (readonly unknown[])[];

/**
 * Counts the values that graphql-js would resolve one by one, duplicates included. Response keys add to the count by
 * their length, because the answer repeats them for every entity.
 *
 * @param perError How many values one error counts as. Every entity, and every task field of it, may become an error.
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
 * Checks all `_entities` fields of an operation together before the first call goes out: whether they stay within the
 * limits, and which pairs they need. If any field wants the address of a pair, that pair is asked for with its address.
 *
 * @throws RequestError if even a null for each entity would make the answer too large.
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

/** Admits an operation without resolving any of its entities. */
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

/**
 * Collects the distinct pairs by id, with the address if any field wants it; undefined if there are more than `max`.
 */
function collectPairs(
  entities: readonly PlannedEntities[],
  representations: Representations,
  max: number,
  readReference: ReadReference,
): Pairs | undefined {
  const pairs = new Map<string, Pair>();
  for (const [i, { tasks }] of entities.entries()) {
    if (tasks.length === 0) continue;
    for (const representation of representations[i] ?? []) {
      const reference = readReference(representation);
      if (reference === undefined || reference.productId === null) continue;
      const { id: deviceId, productId } = reference;
      for (const { type, withAddress } of tasks) {
        const pair = { deviceId, productId, type, withAddress, outcome: undefined };
        const id = pairId(pair);
        if (withAddress || !pairs.has(id)) pairs.set(id, pair);
      }
      if (pairs.size > max) return undefined;
    }
  }
  return pairs;
}
