import type { Fault } from '../src/simulator/simulator.ts';

/** Makes OneNET behave as the device id says: `errno-4`, `status-500`, `stall-1`, `reset-1`. */
export function faultByName({ deviceId }: { readonly deviceId: string | null }): Fault | undefined {
  const [kind, detail] = (deviceId ?? '').split('-');
  if (kind === 'errno') return { kind: 'body', body: `{"errno":${detail ?? ''}}` };
  if (kind === 'status') return { kind: 'status', status: Number(detail) };
  return kind === 'stall' || kind === 'reset' ? { kind } : undefined;
}
