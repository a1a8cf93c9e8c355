import { isDeviceId } from '../ota-task.ts';

/** A device as another subgraph knows it: all that we need of it is its id. */
export interface DeviceReference {
  readonly __typename: 'Device';
  readonly id: string;
}

/** The id of the device that a representation refers to; `_Any` lets any JSON through, so nothing is taken on trust. */
export function deviceIdIn(representation: unknown): string | undefined {
  if (typeof representation !== 'object' || representation === null) return undefined;
  const { __typename, id } = representation as Readonly<Record<string, unknown>>;
  return __typename === 'Device' && isDeviceId(id) ? id : undefined;
}
