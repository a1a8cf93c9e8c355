/**
 * The URL of a file beside `package.json`. Not in a room, because the build bundles all rooms into one folder, `dist`,
 * which lies where `src` does.
 */
export function packageFile(name: string): URL {
  return new URL(`../${name}`, import.meta.url);
}
