/** True when the imitated version is `since` or newer. */
export function isSince(version: string, since: string): boolean {
  const [a, b] = [version, since].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
