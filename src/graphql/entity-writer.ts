import {
  downloadUrl,
  isAbsent,
  type OtaTask,
  type OtaTaskAbsent,
  type OtaTaskOutcome,
  pairId,
} from '../ota-task.ts';
import { type DeviceReference, referenceId } from './device-reference.ts';
import { type Fault, faultOf } from './error-map.ts';
import type { PlannedField } from './operation-plan.ts';

/** An entity as JSON, and the errors of its fields. */
export interface WrittenEntity {
  readonly json: string;
  readonly faults: readonly { readonly field: PlannedField; readonly fault: Fault }[];
}

/**
 * Serialises the devices of one `_entities` field. A device that occurs several times is serialised once.
 *
 * @param maxLength The length beyond which an entity is not completed: its answer is over the limit and is never sent.
 */
export function createEntityWriter(
  fields: readonly PlannedField[],
  outcomes: ReadonlyMap<string, OtaTaskOutcome | Error>,
  maxLength: number,
): (reference: DeviceReference) => WrittenEntity {
  const written = new Map<string, WrittenEntity>();

  function write({ id: deviceId, productId }: DeviceReference): WrittenEntity {
    const faults: { readonly field: PlannedField; readonly fault: Fault }[] = [];
    const json = writeObject(fields, (field, length) => {
      if (length > maxLength) return '';
      const { name, task } = field;
      if (task === undefined) return name === 'id' ? `"${deviceId}"` : '"Device"';
      const { type } = task;
      const key = { deviceId, productId: productId ?? undefined, type };
      const outcome = productId === null ? undefined : outcomes.get(pairId(key));
      const fault = faultOf(name, outcome, key);
      if (fault !== undefined) faults.push({ field, fault });
      if (fault !== undefined || outcome === undefined || outcome instanceof Error) return 'null';
      return isAbsent(outcome)
        ? writeObject(task.ofAbsent, (each) => writeAbsence(outcome, each.name))
        : writeObject(task.ofTask, (each) => writeTask(outcome, each.name));
    });
    return { json, faults };
  }

  return (reference) => {
    const id = referenceId(reference);
    let entity = written.get(id);
    if (entity === undefined) written.set(id, (entity = write(reference)));
    return entity;
  };
}

function writeObject<Field extends { readonly prefix: string }>(
  fields: readonly Field[],
  write: (field: Field, length: number) => string,
): string {
  let json = '{';
  for (const field of fields)
    json += (json === '{' ? field.prefix : `,${field.prefix}`) + write(field, json.length);
  return `${json}}`;
}

function writeTask(task: OtaTask, field: string): string {
  if (field === '__typename') return '"OtaTask"';
  return JSON.stringify(field === 'downloadUrl' ? downloadUrl(task) : task[field as keyof OtaTask]);
}

function writeAbsence(absent: OtaTaskAbsent, field: string): string {
  return JSON.stringify(field === '__typename' ? 'OtaTaskAbsent' : absent[field as keyof OtaTaskAbsent]);
}
