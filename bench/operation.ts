/** As a router asks for the ten fields of a task. */
const QUERY =
  'query($representations:[_Any!]!){_entities(representations:$representations){...on Device{otaTask(type:FOTA)' +
  '{target token size signal power retry interval md5 ipPort type}}}}';

/** Of the devices of a batch, so many are asked for a second time. */
const DUPLICATES = 0.2;

/** Requests of one size, to be sent in turns, so that no server can know the next one's devices. */
export interface Operations {
  readonly size: number;
  /** Distinct (device, type) pairs of each request: the upstream calls that it costs. */
  readonly pairs: number;
  readonly bodies: readonly Buffer[];
}

/** @param size Entities in each request, duplicates included. */
export function createOperations(size: number): Operations {
  const pairs = Math.ceil(size * (1 - DUPLICATES));
  const bodies = Array.from({ length: size >= 1000 ? 4 : 64 }, (_, turn) => {
    const representations = Array.from({ length: size }, (_, i) => ({
      __typename: 'Device',
      id: String(586_000_000 + turn * 100_000 + (i % pairs)),
    }));
    return bodyOf(representations);
  });
  return { size, pairs, bodies };
}

/** One request for so many devices, each of them once: the same every time. */
export function createPage(devices: number): Buffer {
  return bodyOf(
    Array.from({ length: devices }, (_, i) => ({ __typename: 'Device', id: String(586_000_000 + i) })),
  );
}

function bodyOf(representations: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ query: QUERY, variables: { representations } }));
}
