import process from 'node:process';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`The demo needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

try {
  // Imported only after the check, because an older Node might fail on the import before it could report the reason.
  const { startDemo } = await import('./demo.ts');
  const demo = await startDemo();
  const stop = (): void => void demo.close().then(() => process.exit(0));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  console.log(demo.announcement);
} catch (error) {
  console.error(`The demo could not start: ${(error as Error).message}`);
  process.exit(1);
}
