import { readSchemaConfig } from './config/config.ts';
import { schemaText } from './graphql/schema.ts';

try {
  process.stdout.write(schemaText(readSchemaConfig(process.env)));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
