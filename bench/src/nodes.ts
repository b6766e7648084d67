// 30 custom nodes with requirements, cold and again: mgpu beside the loop of the base machine (one clone and one
// `pip install -r` after the other). Repositories and wheels are made here; nothing is fetched from anywhere.
// Usage: npm run bench:nodes [-- --rounds 3 --nodes 30]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { findProgram, streamCommand } from '@mgpu/core';
import { PythonEnvironment, type PythonOptions } from '@mgpu/core/python';
import { NodeManager, readNodeList } from '@mgpu/custom-nodes';
import { Readings } from './readings.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, nodes: { type: 'string', default: '30' } },
});
const rounds = Number(values.rounds);
const count = Number(values.nodes);
const packageCount = 40;

const root = mkdtempSync(join(tmpdir(), 'mgpu-bench-nodes-'));
const env = { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
const wheels = join(root, 'wheels');

const makeWheels = `
import os, sys, zipfile
os.makedirs(sys.argv[1])
for number in range(int(sys.argv[2])):
    info = f'package_{number}-1.0.dist-info'
    with zipfile.ZipFile(os.path.join(sys.argv[1], f'package_{number}-1.0-py3-none-any.whl'), 'w') as wheel:
        for part in range(20): wheel.writestr(f'package_{number}/part_{part}.py', 'x = 1\\n' * 500)
        wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\\nName: package-{number}\\nVersion: 1.0\\n')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nGenerator: bench\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(f'{info}/RECORD', '')
`;

/** A repository of 40 files with five commits, and requirements of which some are others' as well. */
function makeRepository(number: number): { name: string; url: string } {
  const dir = join(root, 'repositories', `node-${number}`);
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args], { cwd: dir, env });
  mkdirSync(dir, { recursive: true });
  git('init', '--quiet');
  for (let change = 0; change < 5; change++) {
    for (let file = 0; file < 40; file++)
      writeFileSync(join(dir, `file_${file}.py`), `# ${change}\n${'x = 1\n'.repeat(1_000)}`);
    const wanted = [number, number + 7, number + 13].map((each) => `package-${each % packageCount}>=1.0\n`);
    writeFileSync(join(dir, 'requirements.txt'), wanted.join(''));
    git('add', '--all');
    git('commit', '--quiet', '--message', `change ${change}`);
  }
  return { name: `node-${number}`, url: pathToFileURL(dir).href };
}

type Node = ReturnType<typeof makeRepository>;

interface Contender {
  readonly name: string;
  /** Brings all nodes into an engine's folder. */
  bring(engine: string, python: PythonEnvironment): Promise<void>;
}

async function must(file: string, args: readonly string[]): Promise<void> {
  const answer = await streamCommand(file, args, { env });
  if (!answer.ok)
    throw new Error(`${file} ${args.join(' ')}: ${answer.problem}: ${answer.lastLines.slice(-3).join(' | ')}`);
}

/** As the base machine did it at each boot: clone what is not there, install the requirements of each in any case. */
const loop = (nodes: readonly Node[]): Contender => ({
  name: 'loop',
  async bring(engine, python) {
    for (const { name, url } of nodes) {
      const dir = join(engine, 'custom_nodes', name);
      if (!existsSync(dir)) await must('git', ['clone', '--quiet', url, dir]);
      const source = ['--no-index', '--find-links', wheels];
      await must(python.python, ['-m', 'pip', 'install', '--quiet', ...source, '-r', join(dir, 'requirements.txt')]);
    }
  },
});

const ours = (nodes: readonly Node[], installer: 'pip' | 'uv'): Contender => ({
  name: `mgpu, ${installer}`,
  async bring(engine, python) {
    const target = {
      packs: join(engine, 'custom_nodes'),
      state: join(engine, 'state'),
      engine,
      python: python.with({ installer }),
    };
    const report = await new NodeManager(target, { env }).apply(readNodeList(JSON.stringify(nodes)));
    if (report.nodes.some(({ status }) => status === 'failed')) throw new Error(report.summary);
  },
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1_000;
}

try {
  execFileSync('python3', ['-c', makeWheels, wheels, String(packageCount)]);
  process.stderr.write(`making ${count} repositories\n`);
  const nodes = Array.from({ length: count }, (_, number) => makeRepository(number));
  const options: PythonOptions = {
    env,
    installer: 'pip',
    sources: { extraIndexes: [], wheels: [wheels], offline: true },
  };
  const empty = await PythonEnvironment.create(join(root, 'python'), options);
  const hasUv = (await findProgram(['uv'], env)) !== undefined;
  const hasComfy = (await findProgram(['comfy'], env)) !== undefined;
  const contenders = [loop(nodes), ours(nodes, 'pip'), ...(hasUv ? [ours(nodes, 'uv')] : [])];
  const readings = new Readings('loop', [
    ...(hasUv ? [] : [{ name: 'mgpu, uv', why: 'uv is not in PATH' }]),
    {
      name: 'comfy-cli',
      why: hasComfy ? 'installs through ComfyUI-Manager, which needs its network: not tried' : 'is not in PATH',
    },
  ]);
  for (let round = 0; round < rounds; round++) {
    const order = contenders.map((_, index) => contenders[(index + round) % contenders.length] as Contender);
    for (const { name, bring } of order) {
      process.stderr.write(`round ${round + 1} of ${rounds}: ${name}\n`);
      const engine = join(root, `engine-${round}-${name.replace(/\W+/g, '-')}`);
      mkdirSync(join(engine, 'custom_nodes'), { recursive: true });
      const python = await PythonEnvironment.copy(empty.dir, join(engine, 'python'), options);
      readings.add('nothing there yet, s', name, await timed(() => bring(engine, python)));
      readings.add('once more, s', name, await timed(() => bring(engine, python)));
      rmSync(engine, { recursive: true });
    }
  }
  console.log(
    `${count} nodes, ${rounds} rounds, ${availableParallelism()} cores; median (min to max) and ratio of medians to the loop's`,
  );
  readings.print();
} finally {
  rmSync(root, { recursive: true, force: true });
}
