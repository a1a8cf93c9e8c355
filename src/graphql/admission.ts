import type { OtaTaskRequest } from '../ota-task.ts';
import type { Admission, GraphQLContext } from './context.ts';
import { deviceIdIn } from './device-reference.ts';
import { BAD_USER_INPUT, type Fault, OPERATION_TOO_LARGE } from './error-map.ts';
import { pairId } from './loader.ts';
import type { OperationPlan, PlannedEntities } from './operation-plan.ts';

/** Representations times task fields may be this many times the pairs that an operation may ask for. */
const DUPLICATION_ALLOWED = 10;
/** Values in the answer for each of those; a router asks for a dozen. */
const VALUES_PER_TASK = 20;
/** What no limit above makes smaller, however small `MAX_DEVICE_TASKS` is. */
const VALUES_ALWAYS_ALLOWED = 20_000;
/** A body holds fewer representations than this; only who repeats them under many aliases has more. */
const MAX_REPRESENTATIONS = 100_000;

/**
 * Looks at all `_entities` fields of an operation together: what they ask for must be within the limits before the first call goes
 * out, and what anybody wants to know of a pair decides how it is asked upstream.
 *
 * Distinct (device, type) pairs may be at most `maxDeviceTasks`; representations times task fields, duplicates included,
 * at most ten times that; and the values in the answer twenty times that.
 *
 * @returns Nothing when the operation repeats its representations so often that even nulls for them are too much.
 */
export function admitOperation(
  { entities }: OperationPlan,
  variableValues: Readonly<Record<string, unknown>>,
  { maxDeviceTasks }: Pick<GraphQLContext, 'maxDeviceTasks'>,
): Admission | undefined {
  const maxTasks = maxDeviceTasks * DUPLICATION_ALLOWED;
  const sum = (count: (field: PlannedEntities) => number): number =>
    entities.reduce(
      (total, field) => total + field.representationsIn(variableValues).length * count(field),
      0,
    );

  if (sum(() => 1) > Math.max(MAX_REPRESENTATIONS, maxTasks * DUPLICATION_ALLOWED)) return undefined;
  const isTooMuch =
    sum(({ tasks }) => tasks.length) > maxTasks ||
    sum(({ values }) => values) > Math.max(VALUES_ALWAYS_ALLOWED, maxTasks * VALUES_PER_TASK);
  const pairs = isTooMuch ? undefined : collectPairs(entities, variableValues, maxDeviceTasks);
  return pairs === undefined
    ? refuseOperation(OPERATION_TOO_LARGE, maxDeviceTasks)
    : { pairs, fault: BAD_USER_INPUT, errorsLeft: maxTasks };
}

/** For an operation of which no entity is resolved. */
export function refuseOperation(fault: Fault, maxDeviceTasks: number): Admission {
  return { pairs: undefined, fault, errorsLeft: maxDeviceTasks * DUPLICATION_ALLOWED };
}

/** Distinct pairs by id, unless there are too many; with an address where anybody wants it. */
function collectPairs(
  entities: readonly PlannedEntities[],
  variableValues: Readonly<Record<string, unknown>>,
  max: number,
): Map<string, OtaTaskRequest> | undefined {
  const pairs = new Map<string, OtaTaskRequest>();
  for (const { representationsIn, tasks } of entities) {
    for (const representation of representationsIn(variableValues)) {
      const deviceId = deviceIdIn(representation);
      if (deviceId === undefined) continue;
      for (const { type, withAddress } of tasks) {
        const request = { deviceId, type, withAddress };
        const pair = pairId(request);
        if (withAddress || !pairs.has(pair)) pairs.set(pair, request);
      }
      if (pairs.size > max) return undefined;
    }
  }
  return pairs;
}
