import { it } from 'vitest';

import { holdToTheTable } from '../table.ts';
import { MISSING, ROUTERS } from './routers.ts';

holdToTheTable(ROUTERS);

it.skip.each(MISSING)('$kind: $reason', () => undefined);
