import { isDeviceId } from '../ota-task.ts';

/** A device as another subgraph knows it: all that we need of it is its id. */
export interface DeviceReference {
  readonly __typename: 'Device';
  readonly id: string;
}

/** The device that a representation refers to; `_Any` lets any JSON through, so nothing of it is taken on trust. */
export function readReference(representation: unknown): DeviceReference | undefined {
  if (typeof representation !== 'object' || representation === null) return undefined;
  const { __typename, id } = representation as Readonly<Record<string, unknown>>;
  return __typename === 'Device' && isDeviceId(id) ? { __typename, id } : undefined;
}
