import process from 'node:process';
import { parseArgs } from 'node:util';

/** How often it is told what replicas share, when that has changed. */
const TELL_EVERY_MS = 2000;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`The demo needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

try {
  const { values } = parseArgs({ options: { replicas: { type: 'string', default: '1' } } });
  if (!/^[1-9]$/.test(values.replicas)) throw new Error('--replicas must be 1 to 9');
  // Imported only after the checks, because an older Node might fail on the import before it could report the reason.
  const { startDemo } = await import('./demo.ts');
  const demo = await startDemo(Number(values.replicas));
  let told = await demo.savings();
  const tell = async (): Promise<void> => {
    const savings = await demo.savings();
    if (savings !== told) console.log(savings);
    told = savings;
  };
  const telling = values.replicas === '1' ? undefined : setInterval(() => void tell(), TELL_EVERY_MS);
  const stop = async (): Promise<void> => {
    clearInterval(telling);
    if (telling !== undefined) console.log(`In all ${await demo.savings()}`);
    await demo.close();
    process.exit(0);
  };
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
  console.log(demo.announcement);
} catch (error) {
  console.error(`The demo could not start: ${(error as Error).message}`);
  process.exit(1);
}
