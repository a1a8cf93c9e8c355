import type { Resolvers } from '../__generated__/resolvers.ts';
import { type DeviceTaskKey, downloadUrl, isAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { GraphQLContext } from './context.ts';
import { graphQLError, loadFailed, taskAbsent } from './error-map.ts';

export const resolvers: Resolvers = {
  Device: {
    otaTask: async ({ id }, { type }, context) => {
      const key = { deviceId: id, type };
      const outcome = await load(key, context);
      if (isAbsent(outcome)) throw graphQLError(taskAbsent(outcome, key));
      return outcome;
    },
    otaTaskResult: ({ id }, { type }, context) => load({ deviceId: id, type }, context),
  },
  OtaTask: { downloadUrl },
  OtaTaskResult: { __resolveType: (outcome) => (isAbsent(outcome) ? 'OtaTaskAbsent' : 'OtaTask') },
};

async function load(key: DeviceTaskKey, { loader }: GraphQLContext): Promise<OtaTaskOutcome> {
  try {
    return await loader.load(key);
  } catch (error) {
    throw graphQLError(loadFailed(error as Error, key));
  }
}
