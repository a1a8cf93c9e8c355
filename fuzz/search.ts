import fc from 'fast-check';

import { describe } from './describe.ts';
import { mutate } from './mutate.ts';
import { type Recipe, recipes } from './recipe.ts';
import { render, type Request, TooLongError } from './render.ts';
import type { Measurement, Target } from './target.ts';

export interface Found {
  readonly recipe: Recipe;
  readonly description: string;
  readonly request: Request;
  readonly measurement: Measurement;
  /** CPU beside what its devices cost, in milliseconds for each 10 KB of the decoded body, of which one is always counted. */
  readonly cpuMsPer10KB: number;
  readonly answerBytesPerByte: number;
}

export type Goal = 'cpuMsPer10KB' | 'answerBytesPerByte';
const GOALS: readonly Goal[] = ['cpuMsPer10KB', 'answerBytesPerByte'];

export const KB = 1024;
/** Of each goal the search builds on these. */
const POPULATION = 100;
const FRESH_SHARE = 0.3;
/** What a single measurement says may be a collection of garbage, or code that is compiled for the first time. */
const REPEATS = 3;

export interface SearchOptions {
  readonly target: Target;
  readonly seed: number;
  readonly random: () => number;
  readonly enough: (requests: number) => boolean;
  /** Milliseconds of CPU for each distinct pair. */
  readonly pairCpuMs: number;
  /** Is told of each request, and of what it took. */
  readonly onMeasured: (found: Found) => void;
}

/**
 * Looks for the requests that cost the most: fresh ones, and changes of the worst so far.
 *
 * @returns The worst of each goal, different in kind, the worst first.
 */
export async function search(options: SearchOptions): Promise<Readonly<Record<Goal, readonly Found[]>>> {
  const { seed, random, enough } = options;
  /** By goal, then by kind, the worst: each kind climbs a hill of its own, so that one does not crowd out the others. */
  const worst: Record<Goal, Map<string, Found>> = { cpuMsPer10KB: new Map(), answerBytesPerByte: new Map() };
  let nonce = 0;
  const fresh = (): Recipe => {
    const [recipe] = fc.sample(recipes, { seed: seed + nonce, numRuns: 1 });
    return recipe as Recipe;
  };
  const ranked = (goal: Goal): Found[] => [...worst[goal].values()].sort((a, b) => b[goal] - a[goal]);
  const parent = (): Recipe | undefined => {
    const candidates = ranked(GOALS[nonce % GOALS.length] as Goal);
    return candidates[Math.floor(random() ** 1.5 * candidates.length)]?.recipe;
  };

  async function evaluate(recipe: Recipe): Promise<Found | undefined> {
    let best: Found | undefined;
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const found = await measure(recipe, ++nonce, options);
      options.onMeasured(found);
      if (best === undefined || found.cpuMsPer10KB < best.cpuMsPer10KB) best = found;
      if (!GOALS.some((goal) => isWorse(best as Found, goal, worst[goal]))) return undefined;
    }
    return best;
  }

  while (!enough(nonce)) {
    const model = random() < FRESH_SHARE ? undefined : parent();
    const recipe = model === undefined ? fresh() : mutate(model, parent() ?? fresh(), random);
    try {
      const found = await evaluate(recipe);
      if (found === undefined) continue;
      for (const goal of GOALS) {
        const kind = kindOf(found);
        if (found[goal] > (worst[goal].get(kind)?.[goal] ?? 0)) worst[goal].set(kind, found);
        const [last] = ranked(goal).slice(POPULATION);
        if (last !== undefined) worst[goal].delete(kindOf(last));
      }
    } catch (error) {
      if (!(error instanceof TooLongError)) throw error;
      nonce++;
    }
  }
  return { cpuMsPer10KB: ranked('cpuMsPer10KB'), answerBytesPerByte: ranked('answerBytesPerByte') };
}

function isWorse(found: Found, goal: Goal, worst: ReadonlyMap<string, Found>): boolean {
  const same = worst.get(kindOf(found));
  if (same !== undefined) return found[goal] > same[goal];
  return worst.size < POPULATION || [...worst.values()].some((each) => each[goal] < found[goal]);
}

const PARTS = ['_entities', 'otaTask(', 'otaTaskResult(', '_service', '__schema', '__type(', 'fragment', '@'];

/** Of requests that get the same answer for the same parts and representations, one is told. */
function kindOf({ recipe, request, measurement: { status, code } }: Found): string {
  const parts = PARTS.filter((part) => request.text.includes(part));
  const representations = request.text.includes('$r') ? recipe.representations.of : '';
  return [status, code, ...parts, representations, request.headers['apollo-federation-include-trace']].join(
    ' ',
  );
}

export async function measure(
  recipe: Recipe,
  nonce: number,
  { target, pairCpuMs }: Pick<SearchOptions, 'target' | 'pairCpuMs'>,
): Promise<Found> {
  const request = render(recipe, nonce);
  const measurement = await target.measure(request);
  const { cpuMs, calls, answerBytes } = measurement;
  return {
    recipe,
    description: describe(recipe),
    request,
    measurement,
    cpuMsPer10KB: Math.max(0, cpuMs - calls * pairCpuMs) / Math.max(1, request.decodedBytes / (10 * KB)),
    answerBytesPerByte: answerBytes / request.body.length,
  };
}
