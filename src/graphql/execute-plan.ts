import type { GraphQLFormattedError, SourceLocation } from 'graphql';

import { downloadUrl, isAbsent, type OtaTask, type OtaTaskAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import { admitOperation } from './admission.ts';
import type { GraphQLContext } from './context.ts';
import { deviceIdIn } from './device-reference.ts';
import { type Fault, faultOf, type ReportUnforeseen } from './error-map.ts';
import { pairId } from './loader.ts';
import type { OperationPlan, PlannedField } from './operation-plan.ts';

type Json = Record<string, unknown>;

export interface PlanResult {
  readonly data: Json;
  readonly errors?: readonly GraphQLFormattedError[];
}

/**
 * Executes an operation's plan: as graphql-js would execute the operation, but without walking each field of each entity.
 *
 * @returns Nothing where the operation repeats its representations too often.
 */
export async function executePlan(
  plan: OperationPlan,
  variables: Readonly<Record<string, unknown>>,
  context: GraphQLContext,
  report: ReportUnforeseen,
): Promise<PlanResult | undefined> {
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
