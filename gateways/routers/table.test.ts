import { holdToTheTable } from '../table.ts';
import { findBinary } from './binaries.ts';
import { ROUTERS } from './routers.ts';

holdToTheTable(ROUTERS.filter(({ binary }) => findBinary(binary) !== undefined));
