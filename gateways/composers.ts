import { composeServices as composeWithApollo } from '@apollo/composition';
import { composeServices as composeWithGuild } from '@theguild/federation-composition';
import { printSchemaWithDirectives } from '@graphql-tools/utils';
import { federateSubgraphs } from '@wundergraph/composition';
import { buildRouterConfig, SubgraphKind } from '@wundergraph/cosmo-shared';
import { parse, print } from 'graphql';

import type { Subgraph } from '../demo/gateway.ts';

interface Composed {
  /** With `@wundergraph/composition`, which makes none, the schema of the whole graph. */
  readonly sdl: string;
  readonly errors: readonly string[];
  readonly hints: readonly string[];
}

export type Composer = (subgraphs: readonly Subgraph[]) => Composed;

/** Those that make the supergraph that gateways of Apollo's kind read. */
export const SUPERGRAPH_COMPOSERS = {
  '@apollo/composition': (subgraphs) => {
    const { supergraphSdl, errors, hints } = composeWithApollo(documents(subgraphs));
    return {
      sdl: supergraphSdl ?? '',
      errors: messages(errors),
      hints: (hints ?? []).map(({ message }) => message),
    };
  },
  '@theguild/federation-composition': (subgraphs) => {
    const { supergraphSdl, errors } = composeWithGuild(documents(subgraphs));
    return { sdl: supergraphSdl ?? '', errors: messages(errors), hints: [] };
  },
} satisfies Record<string, Composer>;

export const COMPOSERS: Readonly<Record<string, Composer>> = {
  ...SUPERGRAPH_COMPOSERS,
  '@wundergraph/composition': (subgraphs) => {
    const result = federateSubgraphs({
      subgraphs: subgraphs.map(({ name, sdl, url }) => ({ name, url, definitions: parse(sdl) })),
    });
    return {
      sdl: result.success ? print(result.federatedGraphAST) : '',
      errors: result.success ? [] : messages(result.errors),
      hints: messages(result.warnings),
    };
  },
};

function documents(subgraphs: readonly Subgraph[]) {
  return subgraphs.map(({ name, sdl, url }) => ({ name, typeDefs: parse(sdl), url }));
}

function messages(errors: readonly Error[] = []): string[] {
  return errors.map(({ message }) => message);
}

/** What `wgc router compose` makes of the subgraphs: Cosmo Router reads no supergraph, but an execution configuration. */
export function composeExecutionConfig(subgraphs: readonly Subgraph[]): string {
  const result = federateSubgraphs({
    subgraphs: subgraphs.map(({ name, sdl, url }) => ({ name, url, definitions: parse(sdl) })),
  });
  if (!result.success) throw new Error(messages(result.errors).join('; '));
  const { fieldConfigurations, federatedGraphSchema, federatedGraphClientSchema, shouldIncludeClientSchema } =
    result;
  return buildRouterConfig({
    fieldConfigurations,
    federatedSDL: printSchemaWithDirectives(federatedGraphSchema),
    federatedClientSDL: shouldIncludeClientSchema
      ? printSchemaWithDirectives(federatedGraphClientSchema)
      : '',
    routerCompatibilityVersion: '1',
    schemaVersionId: 'tests',
    subgraphs: subgraphs.map(({ name, sdl, url }, index) => ({
      ...{ kind: SubgraphKind.Standard, id: String(index), name, sdl, url, subscriptionUrl: '' },
      ...result.subgraphConfigBySubgraphName.get(name),
    })),
  }).toJsonString();
}
