import { holdToTheTable } from '../table.ts';
import { ROUTERS } from './routers.ts';

holdToTheTable(ROUTERS);
