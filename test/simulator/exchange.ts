import { once } from 'node:events';
import { Agent, request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';

export interface Exchange {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

export const TASKING_HEADERS = { 'Content-Type': 'application/json', Authorization: 'anything' };

/** A simulator that lives as long as the test that calls this. */
export async function startSimulator(options?: SimulatorOptions): Promise<Simulator> {
  const simulator = await createSimulator(options);
  onTestFinished(() => simulator.close());
  return simulator;
}

/** A client with one keep-alive connection. */
export function keepAliveAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

/** One HTTP exchange over the bare client, whose answers and failures are not smoothed over. */
export async function exchange(
  url: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly agent?: Agent;
    readonly signal?: AbortSignal;
  } = {},
): Promise<Exchange> {
  const outgoing = request(url, options).end();
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, bytes, text: bytes.toString() };
}

/** A tasking call with the given query. */
export function tasking(
  { url }: Simulator,
  query: string,
  options: Parameters<typeof exchange>[1] = {},
): Promise<Exchange> {
  return exchange(`${url}/ota/south/tasking?${query}`, { headers: TASKING_HEADERS, ...options });
}

/** A promise, and what resolves it: lets a test wait until something arrived. */
export function createSignal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give!: () => void;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give: () => give() };
}
