import { readdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Folders } from './folders.ts';
import type { Log } from './log.ts';
import type { Options } from './options.ts';
import { pyRepr } from './python.ts';
import type { Simulation } from './script.ts';

/** A start that fails as a Python program does: traceback on stderr, exit 1. */
export class StartError extends Error {}

export const pythonTraceback = (frame: string, error: string) =>
  new StartError(
    `Traceback (most recent call last):\n  File "/opt/ComfyUI/main.py", line ${frame}, in <module>\n${error}`,
  );

/** Checks what the real start trips over, in its order, and logs its lines up to the one before the bind. */
export function announceStart(
  options: Options,
  simulation: Simulation,
  folders: Folders,
  log: Log,
  visibleDevices: string | undefined,
): void {
  if (options.customBase) log.info(`Setting base directory to: ${options.baseDirectory}`);
  for (const { type, path } of folders.extra) log.info(`Adding extra search path ${type} ${path}`);
  for (const name of ['output', 'input', 'user'] as const) {
    if (options.argv.includes(`--${name}-directory`))
      log.info(`Setting ${name} directory to: ${options[`${name}Directory`]}`);
  }
  if (options.cudaDevice !== undefined) log.info(`Set cuda device to: ${options.cudaDevice}`);
  const customNodes = listCustomNodes(options);
  if (!options.cpu && (options.cudaDevice ?? visibleDevices) === '')
    throw pythonTraceback('190', 'RuntimeError: Found no NVIDIA driver on your system.');
  const ram = Math.round(totalmem() / 2 ** 20);
  log.info('Checkpoint files will always be loaded safely.');
  log.info(`Total VRAM ${options.cpu ? ram : simulation.gpu.memoryMiB} MB, total RAM ${ram} MB`);
  log.info(`pytorch version: 2.13.0+${options.cpu ? 'cpu' : 'cu130'}`);
  log.info(`Set vram state to: ${options.cpu ? 'DISABLED' : 'NORMAL_VRAM'}`);
  log.info(`Device: ${options.cpu ? 'cpu' : `cuda:0 ${simulation.gpu.name} : cudaMallocAsync`}`);
  log.info(options.cpu ? 'Using sub quadratic optimization for attention' : 'Using pytorch attention');
  log.info('Python version: 3.12.7 (simulated)');
  log.info(`ComfyUI version: ${simulation.version}`);
  if (options.argv.includes('--temp-directory')) log.info(`Setting temp directory to: ${options.tempDirectory}`);
  log.info(`[Prompt Server] web root: ${options.frontEndRoot ?? '/opt/ComfyUI/web'}`);
  if (customNodes.length > 0) {
    log.info('\nImport times for custom nodes:');
    for (const path of customNodes) log.info(`   0.0 seconds: ${path}`);
    log.info('');
  }
}

function listCustomNodes({ baseDirectory, customBase, customNodes }: Options): string[] {
  const folder = join(baseDirectory, 'custom_nodes');
  try {
    const names = readdirSync(folder).filter(
      (name) => !name.endsWith('.disabled') && name !== '__pycache__' && !name.endsWith('.example'),
    );
    return names
      .filter((name) => customNodes === 'all' || customNodes.includes(name))
      .map((name) => join(folder, name));
  } catch (error) {
    // Without the flag the folder is the checkout's own, and a checkout has it.
    if (!customBase) return [];
    throw pythonTraceback('264', `${errorName(error)}: [Errno 2] No such file or directory: ${pyRepr(folder)}`);
  }
}

const errorName = (error: unknown) =>
  (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'FileNotFoundError' : 'OSError';
