import { holdToTheTable } from '../table.ts';
import { reportMissing } from './missing.ts';
import { ROUTERS } from './routers.ts';

reportMissing();
holdToTheTable(ROUTERS);
