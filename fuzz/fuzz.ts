import { createRandom } from '../soak/operations.ts';
import { type Recipe } from './recipe.ts';
import { type Found, type Goal, KB, measure, search } from './search.ts';
import { startTarget, type Target } from './target.ts';

/** What is promised of any request under the limits. */
export const GOALS = { cpuMsPer10KB: 100, answerBytes: 16 * KB * KB, rssBytes: 300 * 1e6 } as const;

const WORST = 10;
const REPEATS = 7;
const AT_ONCE = 20;

export interface Report {
  readonly text: string;
  /** The worst of each goal, the worst first. */
  readonly worst: Readonly<Record<Goal, readonly Found[]>>;
  /** Of the service, at its peak. */
  readonly rssBytes: number;
  /** Answers that must not be, whatever they cost, and lines of the log that tell of a fault of the program. */
  readonly failures: readonly string[];
  /** What of the goals does not hold, failures included. */
  readonly broken: readonly string[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly enough: (requests: number) => boolean;
  readonly log: (line: string) => void;
}

/** Starts the service, searches, measures the worst again and judges. */
export async function fuzz({ seed, enough, log }: FuzzOptions): Promise<Report> {
  log(`seed ${seed}`);
  const target = await startTarget();
  try {
    const pairCpuMs = await costOfPairs(target);
    log(`a device costs ${pairCpuMs.toFixed(3)} ms`);
    const failures = new Set<string>();
    let requests = 0;
    let loggedMs = performance.now();
    let most = 0;
    let peak = 0;
    const found = await search({
      target,
      seed,
      random: createRandom(seed),
      enough,
      pairCpuMs,
      onMeasured(each) {
        requests++;
        const { status, answerBytes } = each.measurement;
        if (status >= 500) failures.add(`HTTP ${status}: ${each.description}`);
        if (answerBytes > GOALS.answerBytes)
          failures.add(`${answerBytes} bytes answered: ${each.description}`);
        most = Math.max(most, each.cpuMsPer10KB);
        const rss = target.service.peakRss();
        if (rss > peak * 1.1) {
          peak = rss;
          log(`RSS ${toMB(rss)} MB after ${each.description}`);
        }
        if (performance.now() - loggedMs > 30_000) {
          loggedMs = performance.now();
          log(
            `${requests} requests; at most ${most.toFixed(0)} ms per 10 KB at one time, RSS ${toMB(peak)} MB`,
          );
        }
      },
    });
    const worst = {
      cpuMsPer10KB: await confirm(found.cpuMsPer10KB, 'cpuMsPer10KB', target, pairCpuMs),
      answerBytesPerByte: await confirm(found.answerBytesPerByte, 'answerBytesPerByte', target, pairCpuMs),
    };
    const oneByOne = target.service.peakRss();
    const crowds = [];
    for (const { request } of [...worst.cpuMsPer10KB.slice(0, 3), ...worst.answerBytesPerByte.slice(0, 3)]) {
      crowds.push(await target.crowd(request, AT_ONCE));
    }
    const rssBytes = target.service.peakRss();
    for (const logged of target.faults) failures.add(logged);
    const broken = [
      ...failures,
      ...worst.cpuMsPer10KB
        .filter(({ cpuMsPer10KB }) => cpuMsPer10KB > GOALS.cpuMsPer10KB)
        .map(({ cpuMsPer10KB, description }) => `${cpuMsPer10KB.toFixed(0)} ms per 10 KB: ${description}`),
      ...(rssBytes > GOALS.rssBytes ? [`${toMB(rssBytes)} MB of memory`] : []),
    ];
    const text = [
      `${requests} requests, seed ${seed}`,
      `memory: at most ${toMB(oneByOne)} MB for one request after the other, ${toMB(rssBytes)} MB with ${AT_ONCE} at once:`,
      ...crowds.map(
        ({ answered, refused, cut, probeMs }) =>
          `  ${answered} answered, ${refused} refused, ${cut} cut off; probes waited ${probeMs.toFixed(0)} ms at most`,
      ),
      'ms of CPU per 10 KB of decoded body, beside the devices:',
      ...worst.cpuMsPer10KB.map((each) => `  ${each.cpuMsPer10KB.toFixed(1).padStart(7)}  ${tell(each)}`),
      'bytes answered per byte sent:',
      ...worst.answerBytesPerByte.map(
        (each) => `  ${each.answerBytesPerByte.toFixed(0).padStart(7)}  ${tell(each)}`,
      ),
      ...broken.map((what) => `NO  ${what}`),
      ...(broken.length === 0 ? ['yes  every goal holds'] : []),
    ].join('\n');
    return { text, worst, rssBytes, failures: [...failures], broken };
  } finally {
    await target.stop();
  }
}

function tell({
  request,
  measurement: { status, code, cpuMs, answerBytes, calls },
  description,
}: Found): string {
  const sent = request.body.length === request.decodedBytes ? '' : `${request.body.length} as `;
  return `${cpuMs.toFixed(1)} ms, ${sent}${request.decodedBytes} bytes, ${answerBytes} answered (${status} ${code}), ${calls} calls: ${description}`;
}

function toMB(bytes: number): number {
  return Math.round(bytes / 1e6);
}

/** The worst once more, each several times, with the median of them. */
async function confirm(
  found: readonly Found[],
  goal: Goal,
  target: Target,
  pairCpuMs: number,
): Promise<Found[]> {
  const again: Found[] = [];
  for (const { recipe } of found.slice(0, 2 * WORST)) {
    const measured: Found[] = [];
    for (let i = 0; i < REPEATS; i++)
      measured.push(await measure(recipe, 500_000_000 + i + again.length * REPEATS, { target, pairCpuMs }));
    measured.sort((a, b) => a.cpuMsPer10KB - b.cpuMsPer10KB);
    again.push(measured[Math.floor(REPEATS / 2)] as Found);
  }
  return again.sort((a, b) => b[goal] - a[goal]).slice(0, WORST);
}

/** What a device costs in an operation as a router sends it, once the code is warm. */
async function costOfPairs(target: Target): Promise<number> {
  const PAIRS = 1000;
  const cpuMs = [];
  for (let i = 0; i < 15; i++) {
    const of = (repeat: number): Promise<Found> =>
      measure(plain(repeat), 900_000_000 + i, { target, pairCpuMs: 0 });
    const many = await of(PAIRS);
    if (many.measurement.calls !== PAIRS)
      throw new Error(`${many.measurement.calls} calls, HTTP ${many.measurement.status}`);
    cpuMs.push(many.measurement.cpuMs - (await of(1)).measurement.cpuMs);
  }
  cpuMs.sort((a, b) => a - b);
  return (cpuMs[Math.floor(cpuMs.length / 4)] as number) / PAIRS;
}

function plain(repeat: number): Recipe {
  const part = {
    repeat: 1,
    directive: { directives: [], repeat: 1, if: { kind: 'text', text: 'true', repeat: 1 } },
  } as const;
  const field = { kind: 'field', ...part, alias: 'none', arguments: [], selections: [] } as const;
  const task = {
    ...field,
    on: 'Device',
    name: 'otaTask',
    arguments: [{ argument: 'type', value: { kind: 'text', text: 'FOTA', repeat: 1 } }],
    selections: ['target', 'token', 'size', 'md5'].map((name) => ({ ...field, on: 'OtaTask', name })),
  } as const;
  const entities = {
    ...field,
    on: 'Query',
    name: '_entities',
    arguments: [{ argument: 'representations', value: { kind: 'variable', type: 'r' } }],
    selections: [{ kind: 'inline', ...part, on: '_Entity', condition: 'Device', selections: [task] }],
  } as const;
  return {
    filler: { text: '', repeat: 1 },
    operations: { repeat: 1, selections: [entities], unused: 0 },
    fragments: [],
    nameLength: 1,
    variables: { distinct: 1, withDefaults: false, booleans: 'true', others: 'right' },
    representations: { repeat, distinct: repeat, of: 'task' },
    body: { beside: 'nothing', repeat: 1, escaped: false, encoding: 'plain' },
    headers: { accept: 'application/json', repeat: 1, trace: false },
  };
}
