import { GATEWAYS } from './gateways.ts';
import { holdToTheTable } from './table.ts';

holdToTheTable(GATEWAYS);
