import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findProgram } from '@mgpu/core';
import { PythonEnvironment, type PythonOptions } from '@mgpu/core/python';
import { temporaryFolder as openTemporaryFolder } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';
import {
  NodeManager,
  type NodeManagerOptions,
  type NodeResult,
  type NodesReport,
  type NodeTarget,
  readNodeList,
} from '../src/index.ts';

export function temporaryFolder(): string {
  const folder = openTemporaryFolder('nodes-');
  onTestFinished(() => folder[Symbol.dispose]());
  return folder.path;
}

/** Git as on a machine where nobody has set up anything. */
export const env: Readonly<Record<string, string | undefined>> = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
};

export function git(dir: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'protocol.file.allow=always'];
  return execFileSync('git', [...identity, ...args], { cwd: dir, env: env as NodeJS.ProcessEnv, stdio: 'pipe' })
    .toString()
    .trim();
}

/** A repository whose default branch has one commit with these files. */
export class Repository {
  readonly dir: string;

  constructor(dir: string, files: Readonly<Record<string, string>> = {}) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    git(dir, 'init', '--quiet', '--initial-branch=main');
    this.commit({ '__init__.py': 'NODE_CLASS_MAPPINGS = {}\n', ...files });
  }

  get url(): string {
    return pathToFileURL(this.dir).href;
  }

  get head(): string {
    return git(this.dir, 'rev-parse', 'HEAD');
  }

  commit(files: Readonly<Record<string, string>>): string {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.dir, path)), { recursive: true });
      writeFileSync(join(this.dir, path), text);
    }
    git(this.dir, 'add', '--all');
    git(this.dir, 'commit', '--quiet', '--message', 'change');
    return this.head;
  }
}

const makeWheels = `
import base64, hashlib, json, os, re, sys, zipfile
for name, version, requires in json.loads(sys.argv[2]):
    stem = f"{name.replace('-', '_')}-{version}"
    info = f'{stem}.dist-info'
    files = {
        f"{name.replace('-', '_')}.py": f'version = {version!r}\\n',
        f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n' + ''.join(f'Requires-Dist: {each}\\n' for each in requires) + ''.join(f'Provides-Extra: {each}\\n' for each in re.findall('extra == "(.+?)"', ' '.join(requires))),
        f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
    }
    record = ''
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()
        record += f'{path},sha256={digest},{len(text)}\\n'
    files[f'{info}/RECORD'] = record + f'{info}/RECORD,,\\n'
    with zipfile.ZipFile(os.path.join(sys.argv[1], f'{stem}-py3-none-any.whl'), 'w') as wheel:
        for path, text in files.items(): wheel.writestr(path, text)
`;

type Wheel = readonly [name: string, version: string, requires?: readonly string[]];

/** A folder with wheels that hold one line each. */
export function buildWheels(folder: string, wheels: readonly Wheel[]): string {
  mkdirSync(folder, { recursive: true });
  const all = JSON.stringify(wheels.map(([name, version, requires = []]) => [name, version, requires]));
  execFileSync('python3', ['-c', makeWheels, folder, all]);
  return folder;
}

export const torch = '2.8.0+cu128';

/** What packs of the tests need. `middle` needs `alpha`. */
export const stock: readonly Wheel[] = [
  ['torch', torch],
  ['torch', '1.13.0'],
  ['numpy', '1.26.0'],
  ['numpy', '2.1.0'],
  ['alpha', '1.0'],
  ['alpha', '2.0'],
  ['middle', '1.0', ['alpha>=1']],
  ['beta', '1.0'],
  ['beta', '2.0'],
  ['gamma', '1.0'],
  ['wants-old-torch', '1.0', ['torch<2']],
];

/** An environment with torch and numpy of its own, made once for a file of tests, and copies of it. */
export class Pythons implements Disposable {
  readonly #folder = openTemporaryFolder('pythons-');
  #first: Promise<PythonEnvironment> | undefined;
  #copies = 0;

  /** `wheels`: folder of packages; default one with `stock`. */
  async make(installer: 'pip' | 'uv', wheels?: string): Promise<PythonEnvironment> {
    this.#first ??= this.#makeFirst();
    const { dir } = await this.#first;
    this.#copies += 1;
    const options = this.#options(installer, wheels ?? join(this.#folder.path, 'wheels'));
    return PythonEnvironment.copy(dir, join(this.#folder.path, `python${this.#copies}`), options);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }

  async #makeFirst(): Promise<PythonEnvironment> {
    const options = this.#options('pip', buildWheels(join(this.#folder.path, 'wheels'), stock));
    const python = await PythonEnvironment.create(join(this.#folder.path, 'python'), options);
    await python.install({ packages: [`torch==${torch}`, 'numpy==1.26.0'] });
    return python;
  }

  #options(installer: 'pip' | 'uv', wheels: string): PythonOptions {
    const cache = join(this.#folder.path, 'cache');
    return { env, installer, sources: { extraIndexes: [], wheels: [wheels], offline: true }, cache };
  }
}

export const hasUv = async (): Promise<boolean> => (await findProgram(['uv'], env)) !== undefined;

/** An engine's folders, and a manager for its nodes. */
export function engineIn(root: string, python?: PythonEnvironment): NodeTarget {
  mkdirSync(join(root, 'custom_nodes'), { recursive: true });
  return {
    packs: join(root, 'custom_nodes'),
    state: join(root, 'state'),
    engine: root,
    ...(python ? { python } : {}),
  };
}

export const managerOf = (target: NodeTarget, options: Partial<NodeManagerOptions> = {}): NodeManager =>
  new NodeManager(target, { env, attempts: 1, ...options });

export const listOf = (...entries: readonly object[]) => readNodeList(JSON.stringify(entries));

export const resultIn = (report: NodesReport, name: string): NodeResult => {
  const found = report.nodes.find((node) => node.name === name);
  if (!found) throw new Error(`the report has no ${name}`);
  return found;
};

/** Status and code of each, by name. */
export const outcomes = ({ nodes }: NodesReport): Record<string, string> =>
  Object.fromEntries(nodes.map(({ name, status, error }) => [name, error ? `${status} ${error.code}` : status]));

/** Every file below a folder with what would show that it was touched. */
export function listing(root: string): string[] {
  const seen: string[] = [];
  const visit = (path: string) => {
    const facts = lstatSync(path, { bigint: true });
    const link = facts.isSymbolicLink() ? readlinkSync(path) : '';
    seen.push(`${path} ${facts.ino} ${facts.mode} ${facts.size} ${facts.mtimeNs} ${link}`);
    if (facts.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  visit(root);
  return seen;
}

export const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

/** A server that lets nobody in; its URL. */
export async function privateServer(): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="private"' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
  const { port } = server.address() as { port: number };
  return `http://127.0.0.1:${port}/private.git`;
}
