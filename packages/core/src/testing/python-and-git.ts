import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../process/run-command.ts';

/** A Python package that a test makes up. */
export interface TestPackage {
  readonly name: string;
  readonly version: string;
  /** Requirements as in `Requires-Dist`. */
  readonly requires?: readonly string[];
  /** Text by path, e.g. `torch/__init__.py`. Default: an empty module of the package's name. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Reads the package from its argument and writes the wheel (packaging.python.org, binary distribution format). */
const zip = `
import json, sys, zipfile
path, files = sys.argv[1], json.loads(sys.argv[2])
with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
`;

/** Writes wheels into a folder that pip and uv can be pointed at. Needs `python3`. */
export async function writeWheels(folder: string, packages: readonly TestPackage[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { name, version, requires = [], files } of packages) {
    const distribution = name.replace(/[-_.]+/g, '_');
    const stem = `${distribution}-${version}`;
    const info = `${stem}.dist-info`;
    const content = files ?? { [`${distribution}/__init__.py`]: `__version__ = ${JSON.stringify(version)}\n` };
    const metadata = ['Metadata-Version: 2.1', `Name: ${name}`, `Version: ${version}`];
    const all: Record<string, string> = {
      ...content,
      [`${info}/METADATA`]: [...metadata, ...requires.map((each) => `Requires-Dist: ${each}`), ''].join('\n'),
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: mgpu\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    };
    all[`${info}/RECORD`] = [...Object.keys(all), `${info}/RECORD`].map((path) => `${path},,\n`).join('');
    const path = join(folder, `${stem}-py3-none-any.whl`);
    const made = await runCommand('python3', ['-c', zip, path, JSON.stringify(all)], { timeoutMs: 30_000 });
    if (!made.ok) throw new Error(`no wheel of ${name}: ${made.stderr || made.spawnError}`);
  }
}

/** The torch family of one build, without a GPU. */
export const torchWheels = (version = '2.9.0+cpu'): readonly TestPackage[] => [
  {
    name: 'torch',
    version,
    files: {
      'torch/__init__.py': `__version__ = ${JSON.stringify(version)}\nfrom . import cuda\n`,
      'torch/cuda.py': 'def is_available():\n    return False\n',
    },
  },
  { name: 'torchvision', version, requires: ['torch'] },
  { name: 'torchaudio', version, requires: ['torch'] },
];

/** Makes a folder of files a Git repository, or a new commit in the one it is; returns the commit. */
export async function commitFiles(
  folder: string,
  files: Readonly<Record<string, string>>,
  { message = 'change', tag }: { message?: string; tag?: string } = {},
): Promise<string> {
  const git = async (...args: string[]) => {
    const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false'];
    const done = await runCommand('git', [...identity, ...args], { cwd: folder, timeoutMs: 30_000 });
    if (!done.ok) throw new Error(`git ${args[0]}: ${done.stderr || done.spawnError}`);
    return done.stdout.trim();
  };
  await mkdir(folder, { recursive: true });
  await git('init', '--quiet', '--initial-branch=main');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await git('add', '--all');
  await git('commit', '--quiet', '--allow-empty', '--message', message);
  if (tag !== undefined) await git('tag', tag);
  return git('rev-parse', 'HEAD');
}
