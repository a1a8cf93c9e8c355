import { createHash } from 'node:crypto';
import { createPackageFiles, type PackageFiles } from './package-file.ts';

/** OneNET's request parameter `type`: 1 is firmware (FOTA), 2 is software (SOTA). */
type RequestedType = 1 | 2;

export interface FleetTask {
  readonly target: string;
  readonly token: string;
  readonly size: number;
  readonly signal: number;
  readonly power: number;
  readonly retry: number;
  readonly interval: number;
  readonly md5: string;
  /** The address of the package, if it is not served by the simulator itself. */
  readonly ipPort?: string;
  /** 1: full package, 2: delta package. */
  readonly type: 1 | 2;
}

export interface Refusal {
  readonly errno: number;
  readonly error: string;
}

export type Answer = { readonly errno: 0; readonly task: FleetTask } | Refusal;

interface FleetDevice {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  /** What the device demonstrates, for users who look for one to try. */
  readonly shows: string;
}

/** Devices and their tasks, as a pure function of the seed and the clock. */
export interface Fleet {
  readonly devices: readonly FleetDevice[];
  answer(deviceId: string, type: RequestedType, nowMs: number): Answer;
  /** The package that a token gives access to; `undefined` if the token is unknown or no longer valid. */
  packageOf(token: string, nowMs: number): Buffer | undefined;
}

const ERRORS: Readonly<Record<number, string>> = {
  1: 'authorization failed',
  2: 'wrong type parameter',
  4: 'no valid token found',
  7: 'internal error',
  12: 'token expired, the upgrade is over',
};

/** A refusal by OneNET, with an English text in place of OneNET's own. */
export function refuse(errno: number, error = ERRORS[errno] ?? 'refused'): Refusal {
  return { errno, error };
}

/** The example answer of OneNET's documentation: device 6523, type 1, cdn true. */
const DOCUMENT_EXAMPLE: FleetTask = {
  target: '1.2',
  token: 'ota_5hc95SFeo5xJEnaNrste',
  size: 123,
  signal: 12,
  power: 90,
  retry: 10,
  interval: 90,
  md5: 'dfkdajkfd',
  ipPort: '172.19.3.3:8002',
  type: 1,
};

/** What a device answers for one type, and a description of it. */
interface Plan {
  readonly shows: string;
  answer(deviceId: string, type: RequestedType, nowMs: number): Answer;
}

/**
 * Creates a dozen devices that together show every answer OneNET can give. Some of them change over time. Any other
 * device has no task.
 */
export function createDemoFleet({ seed }: { readonly seed: string }): Fleet {
  const files = createPackageFiles({ largestBytes: 256 * 1024 });

  const refused = (errno: number, shows: string): Plan => ({ shows, answer: () => refuse(errno) });
  const noTask = refused(4, 'no task (errno 4)');
  const expired = refused(12, 'token expired (errno 12)');
  const broken = refused(7, 'OneNET internal error (errno 7)');
  const unsupported = refused(2, 'not supported by the product (errno 2)');
  const undocumented = refused(26, 'an undocumented errno (26)');
  const documented: Plan = {
    shows: "the document's example, 1.2",
    answer: () => ({ errno: 0, task: DOCUMENT_EXAMPLE }),
  };

  const installs = (packageType: 1 | 2, target: string): Plan => ({
    shows: `${packageType === 1 ? 'full' : 'delta'} package ${target}`,
    answer(deviceId, type) {
      const token = `ota_${letters(20, seed, deviceId, type, 0)}`;
      return { errno: 0, task: describeTask(files, token, packageType, target) };
    },
  });

  // No task -> downloading -> token expired -> no task; the next round has the next version.
  const movesOn = (seconds: number): Plan => ({
    shows: `a new version every ${seconds} s: no task, downloading, token expired`,
    answer(deviceId, type, nowMs) {
      const phase = digest(seed, deviceId, 'phase').readUInt32BE() / 2 ** 32;
      const position = nowMs / (seconds * 1000) + phase;
      const round = Math.floor(position);
      const progress = position - round;
      if (progress < 0.2 || progress >= 0.9) return refuse(4);
      if (progress >= 0.75) return refuse(12);
      const token = `ota_${letters(20, seed, deviceId, type, round)}`;
      const target = [Math.floor(round / 1e6), Math.floor(round / 1e3) % 1e3, round % 1e3].join('.');
      return { errno: 0, task: describeTask(files, token, 1, target) };
    },
  });

  const script: readonly [id: string, name: string, model: string, fota: Plan, sota: Plan][] = [
    ['6523', "OneNET's document, example device", 'Example', documented, noTask],
    ['586012401', 'Cold store 3, door sensor', 'DS-110', installs(1, '2.4.0'), noTask],
    ['586012402', 'Cold store 3, thermometer', 'TH-200', noTask, installs(2, '1.9.3')],
    ['586012417', 'Loading dock, gateway', 'GW-8', installs(2, '3.0.1'), installs(1, '5.1.0')],
    ['586012425', 'Loading dock, traffic light', 'TL-3', noTask, noTask],
    ['73250118', 'Pump house, flow meter', 'FM-40', expired, noTask],
    ['73250126', 'Pump house, pressure gauge', 'PG-12', broken, broken],
    ['73250134', 'Pump house, leak detector', 'LD-5', installs(1, '1.0.7'), unsupported],
    ['73250142', 'Greenhouse 1, vent motor', 'VM-21', undocumented, undocumented],
    ['904417730', 'Greenhouse 1, soil probe', 'SP-6', movesOn(60), noTask],
    ['904417748', 'Greenhouse 2, soil probe', 'SP-6', movesOn(90), noTask],
    ['904417756', 'Greenhouse 2, weather mast', 'WM-1', movesOn(120), installs(2, '4.2.0')],
  ];
  const plans = new Map(script.map(([id, , , fota, sota]) => [id, { 1: fota, 2: sota }]));

  function answer(deviceId: string, type: RequestedType, nowMs: number): Answer {
    return plans.get(deviceId)?.[type].answer(deviceId, type, nowMs) ?? refuse(4);
  }

  return {
    devices: script.map(([id, name, model, fota, sota]) => {
      const same = fota === sota;
      const shows = same ? `FOTA and SOTA: ${fota.shows}` : `FOTA: ${fota.shows}; SOTA: ${sota.shows}`;
      return { id, name, model, shows };
    }),
    answer,
    packageOf(token, nowMs) {
      const valid = [...plans.keys()].some((id) =>
        ([1, 2] as const).some((type) => {
          const current = answer(id, type, nowMs);
          // A package with an address of its own is not served here.
          return 'task' in current && current.task.token === token && current.task.ipPort === undefined;
        }),
      );
      return valid ? files.bytes(token) : undefined;
    },
  };
}

/**
 * Creates an unlimited fleet for benchmarks: every well-formed device id has a FOTA and a SOTA task that never change.
 */
export function createUniformFleet({ seed }: { readonly seed: string }): Fleet {
  const files = createPackageFiles({ largestBytes: 8 * 1024 });
  // The second half of a token is derived from the first, so that a package can be found without a list of devices.
  const issue = (half: string): string => `ota_${half}${letters(10, seed, half)}`;

  return {
    devices: [],
    answer(deviceId, type) {
      if (!/^[\w-]{1,64}$/.test(deviceId)) return refuse(4);
      const [major = 0, minor = 0, patch = 0, packageType = 0] = digest(seed, deviceId, type, 'version');
      const target = `${1 + (major % 9)}.${minor % 20}.${patch}`;
      const token = issue(letters(10, seed, deviceId, type));
      return { errno: 0, task: describeTask(files, token, packageType % 2 === 0 ? 1 : 2, target) };
    },
    packageOf(token) {
      return token === issue(token.slice(4, 14)) ? files.bytes(token) : undefined;
    },
  };
}

function describeTask(files: PackageFiles, token: string, type: 1 | 2, target: string): FleetTask {
  const [signal = 0, power = 0, retry = 0, interval = 0] = digest(token);
  return {
    target,
    token,
    size: files.size(token),
    signal: signal % 21,
    power: 10 + (power % 81),
    retry: retry % 6,
    interval: 30 * (1 + (interval % 4)),
    md5: files.md5(token),
    type,
  };
}

function digest(...parts: readonly (string | number)[]): Buffer {
  return createHash('sha256').update(parts.join('\n')).digest();
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function letters(count: number, ...parts: readonly (string | number)[]): string {
  return Array.from(digest(...parts).subarray(0, count), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
