import { mkdirSync, writeFileSync } from 'node:fs';

import { renderGraphiQL } from '@graphql-yoga/render-graphiql';

import { BUILD_OPTIONS } from './src/explorers/graphiql.ts';

const DIST = new URL('dist/', import.meta.url);

mkdirSync(DIST, { recursive: true });
writeFileSync(new URL('graphiql.html', DIST), renderGraphiQL(BUILD_OPTIONS));
