import { compare, type Effort, type Row } from './comparison.ts';
import { APOLLO_PRODUCTION, FLOOR, MERCURIUS_PRODUCTION, OURS, PEERS } from './peers.ts';
import { startTlsUpstream } from './processes.ts';

/** What TLS to OneNET costs one server at one size, in microseconds of CPU. */
export interface TlsRow {
  readonly server: string;
  readonly size: number;
  /** For an entity, while connections stay open. */
  readonly cpuUs: number;
  /** The same, to the floor over TLS. */
  readonly ratio: number;
  /** For an entity, while connections are closed as often as OneNET closes them. */
  readonly closedCpuUs: number;
  /** For a new connection with its handshake. */
  readonly connectionUs: number;
  /** The share of handshakes that took up an earlier session. */
  readonly resumedShare: number;
}

const SERVERS = [FLOOR, OURS, MERCURIUS_PRODUCTION, APOLLO_PRODUCTION];
export const ONENET_CALLS_PER_CONNECTION = 1000;
/** At OneNET's thousand, handshakes are lost in the noise. */
const FEW_CALLS_PER_CONNECTION = 20;

const EFFORTS: Effort[] = [undefined, ONENET_CALLS_PER_CONNECTION, FEW_CALLS_PER_CONNECTION].map(
  (callsPerConnection) => ({
    latencyMs: 0,
    callsPerConnection,
    rounds: 5,
    roundCpuMs: 500,
    warmUpCpuMs: callsPerConnection === undefined ? 2000 : 300,
  }),
);

export async function compareOverTls(
  sizes: readonly number[],
  log: (line: string) => void,
): Promise<TlsRow[]> {
  const upstream = await startTlsUpstream();
  try {
    log('OneNET over TLS: connections kept, closed as OneNET does, closed often');
    const peers = PEERS.filter(({ name }) => SERVERS.includes(name));
    const { rows } = await compare(peers, upstream, { sizes, efforts: EFFORTS }, log);
    return rows.filter(({ callsPerConnection }) => callsPerConnection === undefined).map(summarise);

    function summarise(kept: Row): TlsRow {
      const { server, size, cpuUs, ratio } = kept;
      const closedAfter = (calls: number): Row =>
        rows.find(
          (row) => row.server === server && row.size === size && row.callsPerConnection === calls,
        ) as Row;
      const often = closedAfter(FEW_CALLS_PER_CONNECTION);
      return {
        server,
        size,
        cpuUs: cpuUs.median,
        ratio: ratio.median,
        closedCpuUs: closedAfter(ONENET_CALLS_PER_CONNECTION).cpuUs.median,
        connectionUs:
          (often.cpuUs.median - cpuUs.median) / (often.handshakesPerEntity - kept.handshakesPerEntity),
        resumedShare: often.resumedShare,
      };
    }
  } finally {
    upstream.stop();
  }
}
