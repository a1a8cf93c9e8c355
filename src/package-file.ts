/**
 * The URL of a file beside `package.json`. It is in no room, because the build puts all rooms into `dist`, which is as
 * deep as `src`.
 */
export function packageFile(name: string): URL {
  return new URL(`../${name}`, import.meta.url);
}
