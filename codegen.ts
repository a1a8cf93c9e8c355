import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: 'schema.graphql',
  generates: {
    'src/__generated__/resolvers.ts': {
      plugins: ['typescript', 'typescript-resolvers'],
      config: {
        federation: true,
        // `buildSubgraphSchema` takes resolvers with an index signature only.
        useIndexSignature: true,
        useTypeImports: true,
        enumsAsTypes: true,
        defaultScalarType: 'unknown',
        contextType: '../graphql/context.ts#GraphQLContext',
        mappers: {
          Device: '../graphql/device-reference.ts#DeviceModel',
          OtaTask: '../ota-task.ts#OtaTask as OtaTaskModel',
          OtaTaskAbsent: '../ota-task.ts#OtaTaskAbsent as OtaTaskAbsentModel',
        },
      },
    },
  },
};

export default config;
