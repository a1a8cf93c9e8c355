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

/** Starts a simulator; stops it after the test. */
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

/** One HTTP exchange with the bare client, which hides no responses or failures. */
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

/** A tasking call with this query. */
export function tasking(
  { url }: Simulator,
  query: string,
  options: Parameters<typeof exchange>[1] = {},
): Promise<Exchange> {
  return exchange(`${url}/ota/south/tasking?${query}`, { headers: TASKING_HEADERS, ...options });
}

/** A promise and the function that resolves it, with which a test waits for an event. */
export function createSignal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give!: () => void;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give: () => give() };
}
