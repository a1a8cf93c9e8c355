import { federateSubgraphsContract } from '@wundergraph/composition';
import { parse } from 'graphql';
import { expect, it } from 'vitest';

import { SUBGRAPHS } from './company.ts';

/** Cosmo's composer calls it, for contracts only. */
const NEEDS_NODE_22 = !('isDisjointFrom' in Set.prototype);

// test/graphql/schema-directives.test.ts does the same with the Guild's composer.
it.skipIf(NEEDS_NODE_22)("leaves a task's secrets out of a contract of Cosmo", () => {
  const result = federateSubgraphsContract({
    subgraphs: SUBGRAPHS.map(({ name, sdl, url }) => ({ name, url, definitions: parse(sdl) })),
    contractTagOptions: { tagNamesToExclude: new Set(['secret']), tagNamesToInclude: new Set() },
  });
  if (!result.success) throw result.errors[0] as Error;
  const { fields } = result.federatedGraphClientSchema.getType('OtaTask')?.toConfig() as { fields: object };
  const shown = ['interval', 'md5', 'power', 'retry', 'signal', 'size', 'target', 'type'];
  expect(Object.keys(fields).sort()).toEqual(shown);
});
