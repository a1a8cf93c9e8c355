import { availableParallelism, cpus } from 'node:os';

import type { Allocations } from './allocations.ts';
import type { Comparison, Row } from './comparison.ts';
import { FLEET_SCENARIO, type FleetRow } from './fleet.ts';
import type { Goal } from './goals.ts';
import type { Peer } from './peers.ts';
import { ONENET_CALLS_PER_CONNECTION, type TlsRow } from './tls.ts';

export interface Measured {
  readonly comparison: Comparison;
  readonly allocations: readonly Allocations[];
  readonly tls: readonly TlsRow[];
  readonly goals: readonly Goal[];
}

/** The report in Markdown: ratios first, since they alone mean anything on another machine. */
export function toMarkdown(
  peers: readonly Peer[],
  { comparison: { rows, refusals }, allocations, tls, goals }: Measured,
): string {
  const latencies = [...new Set(rows.map(({ latencyMs }) => latencyMs))];
  return [
    '# Benchmark',
    machine(),
    "CPU is that of the server process, user and system, by the scheduler. Bytes are what it allocates on V8's heap, and " +
      'those of them that live through a scavenge.',
    table(
      ['server', ''],
      peers.map(({ name, description }) => [name, description]),
    ),
    ...latencies.flatMap((latencyMs) => {
      const measured = rows.filter((row) => row.latencyMs === latencyMs);
      return [
        `## Upstream latency ${latencyMs} ms`,
        'CPU for an entity, to the floor in the same round: median (least to most).',
        ratios(peers, measured),
        details(measured, latencyMs === 0 ? allocations : []),
      ];
    }),
    ...(tls.length === 0 ? [] : ['## OneNET over TLS', tlsTable(tls)]),
    ...(goals.length === 0 ? [] : ['## Goals', goalTable(goals)]),
    ...(refusals.length === 0
      ? []
      : [
          '## Not measured',
          table(
            ['server', 'entities', 'why'],
            refusals.map(({ server, size, reason }) => [server, size, reason]),
          ),
        ]),
    '',
  ].join('\n\n');
}

/** The same for a fleet of replicas. */
export function fleetToMarkdown(rows: readonly FleetRow[], goals: readonly Goal[]): string {
  return [
    '# Benchmark of a fleet',
    machine(),
    FLEET_SCENARIO,
    table(
      ['server', '', 'calls/s at OneNET', 'for a pair and life', 'p50 ms', 'p99 ms', 'answers', 'CPU ms/s'],
      rows.map((row) => [
        row.server,
        row.description,
        row.callsPerSecond.toFixed(0),
        row.callsPerLife.toFixed(2),
        row.p50Ms.toFixed(1),
        row.p99Ms.toFixed(1),
        row.answers,
        row.cpuMsPerSecond.toFixed(0),
      ]),
    ),
    goalTable(goals),
    '',
  ].join('\n\n');
}

/** The same for OneNET over TLS. */
export function tlsToMarkdown(rows: readonly TlsRow[]): string {
  return ['# Benchmark over TLS', machine(), tlsTable(rows), ''].join('\n\n');
}

/** The same for ours, compared with what it was. */
export function checkToMarkdown(goals: readonly Goal[]): string {
  return ['# Benchmark, by the baseline', machine(), goalTable(goals), ''].join('\n\n');
}

function tlsTable(rows: readonly TlsRow[]): string {
  return table(
    [
      'entities',
      'server',
      'CPU µs each',
      'to the floor',
      `closed after ${ONENET_CALLS_PER_CONNECTION} calls`,
      'CPU µs for a connection',
      'sessions resumed',
    ],
    rows.map((row) => [
      row.size,
      row.server,
      row.cpuUs.toFixed(1),
      row.ratio.toFixed(2),
      row.closedCpuUs.toFixed(1),
      row.connectionUs.toFixed(0),
      `${Math.round(row.resumedShare * 100)} %`,
    ]),
  );
}

function machine(): string {
  return `Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}, ${new Date().toISOString()}.`;
}

function ratios(peers: readonly Peer[], rows: readonly Row[]): string {
  const sizes = [...new Set(rows.map(({ size }) => size))];
  return table(
    ['entities in a request', ...sizes],
    peers.map(({ name }) => [
      name,
      ...sizes.map((size) => {
        const row = rows.find((each) => each.server === name && each.size === size);
        if (row === undefined) return '';
        const { median, min, max } = row.ratio;
        return `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
      }),
    ]),
  );
}

function details(rows: readonly Row[], allocations: readonly Allocations[]): string {
  const bytesOf = ({ server, size }: Row, which: 'bytes' | 'surviving'): string =>
    allocations.find((each) => each.server === server && each.size === size)?.[which].toFixed(0) ?? '';
  return table(
    [
      'entities',
      'server',
      'CPU µs each',
      'bytes each',
      'of them surviving',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'peak MiB',
      'calls/request',
      'in flight',
    ],
    rows.map((row) => [
      row.size,
      row.server,
      row.cpuUs.median.toFixed(1),
      bytesOf(row, 'bytes'),
      bytesOf(row, 'surviving'),
      row.requestsPerSecond.toFixed(row.requestsPerSecond < 100 ? 1 : 0),
      row.p50Ms.toFixed(1),
      row.p99Ms.toFixed(1),
      Math.round(row.peakRss / 2 ** 20),
      Number(row.callsPerRequest.toFixed(2)),
      row.inFlight,
    ]),
  );
}

function goalTable(goals: readonly Goal[]): string {
  return table(
    ['goal', 'limit', 'measured', ''],
    goals.map(({ name, limit, figure, met }) => [name, limit, figure, met ? 'met' : '**not met**']),
  );
}

function table(head: readonly (string | number)[], body: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}
