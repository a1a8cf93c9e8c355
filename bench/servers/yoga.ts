import { createServer } from 'node:http';

import { createYoga } from 'graphql-yoga';

import { listen } from './listen.ts';
import { clientKind, createFetchOtaTask } from './onenet.ts';
import { createContext, createSchema } from './schema.ts';

const fetchOtaTask = createFetchOtaTask(clientKind());
const yoga = createYoga({
  schema: createSchema(),
  context: () => createContext(fetchOtaTask),
  logging: false,
});

listen(createServer((request, response) => void yoga(request, response)));
