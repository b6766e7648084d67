import { PackagesFailedError, type PythonEnvironment, packageName } from '@mgpu/core/python';
import { isProtected } from './constraints.ts';
import type { PackRequirements } from './pack-requirements.ts';

/**
 * Follows what installed packages say they need. Markers other than extras are passed over: what they exclude is not
 * installed for it, and if it is there for somebody else its version is worth keeping as well.
 */
const follow = `
import importlib.metadata as metadata, json, re, sys
name_of = lambda text: re.sub(r'[-_.]+', '-', text).lower()
found, todo = {}, [(name_of(name), frozenset(extras)) for name, extras in json.loads(sys.argv[1])]
done = set()
while todo:
    name, extras = todo.pop()
    if (name, extras) in done: continue
    done.add((name, extras))
    try: distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError: continue
    found[name] = distribution.version
    for line in distribution.requires or []:
        text, _, marker = line.partition(';')
        extra = re.search(r"""extra\\s*==\\s*["']([^"']+)["']""", marker)
        if extra and name_of(extra.group(1)) not in extras: continue
        match = re.match(r'\\s*([A-Za-z0-9][A-Za-z0-9._-]*)\\s*(?:\\[([^]]*)\\])?', text)
        if match: todo.append((name_of(match.group(1)), frozenset(name_of(each.strip()) for each in (match.group(2) or '').split(',') if each.strip())))
print(json.dumps(found))
`;

/**
 * The installed versions of everything that these packs need, directly or not, but for what is protected: that is the
 * engine's. Throws `CORE_PACKAGES_FAILED`.
 */
export async function packagesNeeded(
  python: PythonEnvironment,
  packs: readonly PackRequirements[],
): Promise<Readonly<Record<string, string>>> {
  const roots = packs.flatMap(({ requirements }) =>
    requirements.flatMap(({ name, extras }) => (name === undefined ? [] : [[name, extrasIn(extras)]])),
  );
  if (roots.length === 0) return {};
  const answer = await python.run(['-c', follow, JSON.stringify(roots)]);
  if (!answer.ok) {
    const { problem = '', lastLines } = answer;
    throw new PackagesFailedError({ action: 'listed', problem, lastLines });
  }
  const versions = Object.entries(JSON.parse(answer.stdout) as Record<string, string>);
  return Object.fromEntries(versions.filter(([name]) => !isProtected(name)).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const extrasIn = (extras: string): string[] =>
  extras
    .replace(/[[\]]/g, '')
    .split(',')
    .map((each) => packageName(each.trim()))
    .filter(Boolean);
