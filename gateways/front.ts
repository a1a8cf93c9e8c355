import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Subgraph } from '../demo/gateway.ts';
import type { Company } from './company.ts';

/** Stands between a router and the service, as a load balancer does, and counts what the router sends. */
export interface Front {
  /** Those of the company, but with the front in place of the service. */
  readonly subgraphs: readonly Subgraph[];
  /** The statuses of the service's answers; undefined where there was none. */
  readonly answers: (number | undefined)[];
  /** Whether it forwards requests, breaks their connections, or never answers. */
  mode: 'forward' | 'reset' | 'hang';
  close(): void;
}

export async function startFront({ subgraphs }: Pick<Company, 'subgraphs'>): Promise<Front> {
  const service = subgraphs.find(({ name }) => name === 'onenet-ota-subgraph');
  if (service === undefined) throw new Error('the company has no such service');
  const answers: Front['answers'] = [];
  const server = createServer((incoming, outgoing) => {
    const index = answers.push(undefined) - 1;
    if (front.mode === 'reset') incoming.socket.resetAndDestroy();
    if (front.mode !== 'forward') return;
    const { method, headers } = incoming;
    const forwarded = request(service.url, { method, headers }, (answer) => {
      answers[index] = answer.statusCode;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const front: Front = {
    subgraphs: subgraphs.map((each) =>
      each === service ? { ...each, url: `http://127.0.0.1:${port}/graphql` } : each,
    ),
    answers,
    mode: 'forward',
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return front;
}
