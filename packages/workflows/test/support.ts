import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { temporaryFolder as openTemporaryFolder } from '@mgpu/core/testing';
import { onTestFinished } from 'vitest';
import { WorkflowSync, type WorkflowSyncOptions } from '../src/index.ts';

export function temporaryFolder(): string {
  const folder = openTemporaryFolder('workflows-');
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
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost'];
  return execFileSync('git', [...identity, ...args], { cwd: dir, env: env as NodeJS.ProcessEnv, stdio: 'pipe' })
    .toString()
    .trim();
}

export const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

export function write(dir: string, files: Readonly<Record<string, string | undefined>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    if (text === undefined) rmSync(join(dir, path));
    else writeFileSync(join(dir, path), text);
  }
}

/** A bare repository that everybody shares, and somebody elsewhere who pushes to it. */
export class Shared {
  readonly root = temporaryFolder();
  readonly bare = join(this.root, 'shared.git');
  readonly url = pathToFileURL(this.bare).href;
  readonly #other = join(this.root, 'somebody else');

  constructor(files: Readonly<Record<string, string>> | null = { 'a.json': '{"a": 1}\n' }, branch = 'main') {
    git(this.root, 'init', '--quiet', '--bare', `--initial-branch=${branch}`, this.bare);
    git(this.root, 'clone', '--quiet', this.bare, this.#other);
    if (files) this.push(files);
  }

  /** Somebody else's change, in the repository when it returns. */
  push(files: Readonly<Record<string, string | undefined>>): string {
    if (git(this.bare, 'for-each-ref') !== '') git(this.#other, 'pull', '--quiet', '--rebase');
    write(this.#other, files);
    git(this.#other, 'add', '--all', '--force');
    git(this.#other, 'commit', '--quiet', '--message', 'elsewhere');
    git(this.#other, 'push', '--quiet', 'origin', 'HEAD');
    return this.head;
  }

  get head(): string {
    return git(this.bare, 'rev-parse', 'HEAD');
  }

  /** Content by path, as the repository has it. */
  get files(): Record<string, string> {
    const names = git(this.bare, 'ls-tree', '-r', '-z', '--name-only', 'HEAD').split('\0').filter(Boolean);
    return Object.fromEntries(names.map((name) => [name, `${git(this.bare, 'show', `HEAD:${name}`)}\n`]));
  }

  /** A machine with a folder of its own. */
  machine(name: string, options: Partial<WorkflowSyncOptions> = {}) {
    const dir = join(this.root, name);
    mkdirSync(dir, { recursive: true });
    const sync = new WorkflowSync({ dir, url: this.url, machine: name, env: () => env, ...options });
    return {
      dir,
      sync: (signal?: AbortSignal) => sync.sync(signal ? { signal } : {}),
      hasEdits: () => sync.hasEdits(),
    };
  }
}

/** Content by path of a folder, without Git's own. */
export function filesIn(dir: string): Record<string, string> {
  if (!existsSync(dir)) return {};
  const names = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .filter((name) => !name.startsWith('.git/'));
  return Object.fromEntries(names.toSorted().map((name) => [name, read(dir, name)]));
}

/** Copies of conflicts among these names, and their content. */
export const copiesIn = (files: Readonly<Record<string, string>>): string[] =>
  Object.entries(files).flatMap(([name, text]) => (name.includes('.sync-conflict-') ? [text] : []));

/** A server that answers every request of Git with this status; its URL. */
export async function serverWith(status: number): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'www-authenticate': 'Basic realm="private"' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/private.git`;
}
