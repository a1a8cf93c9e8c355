import type { Recipe } from './recipe.ts';

/** A place in a recipe, to be read or written. */
interface Site {
  readonly holder: Record<string, unknown>;
  readonly key: string;
  /** The name under which it or the list that it is in stands. */
  readonly name: string;
}

const FACTORS = [0.5, 0.9, 1, 1, 1.1, 1.5, 2, 5];
/** Of anything that is repeated. */
const MOST = 200_000;

/**
 * Changes a recipe in one to four places: a number grows or shrinks, a part is doubled or goes, or a part of another
 * recipe takes the place of one of its kind.
 */
export function mutate(recipe: Recipe, donor: Recipe, random: () => number): Recipe {
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  // In a box, so that the recipe itself is no special case.
  const child = structuredClone(recipe);
  for (let changes = 1 + Math.floor(random() ** 2 * 4); changes > 0; changes--) {
    const sites = sitesOf(child);
    const dice = random();
    if (dice < 0.5) {
      const site = pick(sites.filter(({ holder, key }) => typeof holder[key] === 'number'));
      if (site === undefined) continue;
      const value = site.holder[site.key] as number;
      const least = site.name === 'unused' || site.name === 'fragment' ? 0 : 1;
      site.holder[site.key] = Math.min(
        MOST,
        Math.max(least, Math.round(value * (pick(FACTORS) ?? 1)) + (pick([-1, 0, 1]) ?? 0)),
      );
    } else if (dice < 0.8) {
      const site = pick(sites);
      if (site === undefined) continue;
      const part = pick(sitesOf(donor).filter(({ name }) => name === site.name && name !== 'kind'));
      if (part !== undefined) site.holder[site.key] = structuredClone(part.holder[part.key]);
    } else {
      const list = pick(sites.filter(({ holder, key }) => Array.isArray(holder[key])));
      if (list === undefined) continue;
      const items = list.holder[list.key] as unknown[];
      const at = Math.floor(random() * items.length);
      if (dice < 0.9) items.splice(at, 1);
      else if (items.length > 0) items.splice(at, 0, structuredClone(items[at]));
    }
  }
  return child;
}

function sitesOf(recipe: object, name?: string): Site[] {
  return Object.entries(recipe).flatMap(([key, value]: [string, unknown]) => [
    { holder: recipe as Record<string, unknown>, key, name: name ?? key },
    ...(typeof value === 'object' && value !== null
      ? sitesOf(value, Array.isArray(value) ? `each of ${key}` : undefined)
      : []),
  ]);
}
