import { totalmem } from 'node:os';
import { findCustomNodes } from './custom-nodes.ts';
import type { Folders } from './folders.ts';
import type { Log } from './log.ts';
import type { Options } from './options.ts';
import { type Pack, readPack } from './pack.ts';
import type { Simulation } from './script.ts';
import { deviceName, torchVersion } from './torch.ts';
import { uncaught } from './uncaught.ts';

/** Checks what the real start trips over, in its order, and logs its lines up to the custom nodes; returns those it could import. */
export function announceStart(
  options: Options,
  simulation: Simulation,
  folders: Folders,
  log: Log,
  visibleDevices: string | undefined,
): Pack[] {
  if (options.customBase) log.info(`Setting base directory to: ${options.baseDirectory}`);
  for (const { type, path } of folders.extra) log.info(`Adding extra search path ${type} ${path}`);
  for (const name of ['output', 'input', 'user'] as const) {
    if (options.givenFolders.has(name)) log.info(`Setting ${name} directory to: ${options[`${name}Directory`]}`);
  }
  if (options.cudaDevice !== undefined) log.info(`Set cuda device to: ${options.cudaDevice}`);
  const customNodes = findCustomNodes(options, folders);
  if (!options.cpu && (options.cudaDevice ?? visibleDevices) === '')
    throw uncaught(190, 'RuntimeError: Found no NVIDIA driver on your system.');
  const ram = Math.round(totalmem() / 2 ** 20);
  log.info('Checkpoint files will always be loaded safely.');
  log.info(`Total VRAM ${options.cpu ? ram : simulation.gpu.memoryMiB} MB, total RAM ${ram} MB`);
  log.info(`pytorch version: ${torchVersion(options)}`);
  log.info(`Set vram state to: ${options.cpu ? 'DISABLED' : 'NORMAL_VRAM'}`);
  log.info(`Device: ${deviceName(options, simulation)}`);
  log.info(options.cpu ? 'Using sub quadratic optimization for attention' : 'Using pytorch attention');
  log.info('Python version: 3.12.7 (simulated)');
  log.info(`ComfyUI version: ${simulation.version}`);
  if (options.givenFolders.has('temp')) log.info(`Setting temp directory to: ${options.tempDirectory}`);
  log.info(`[Prompt Server] web root: ${options.frontEndRoot ?? '/opt/ComfyUI/web'}`);
  const packs = customNodes.map(readPack);
  for (const { path, fails } of packs) {
    if (fails !== undefined) log.warning(`Traceback (most recent call last):\n${fails}\n`);
    if (fails !== undefined) log.warning(`Cannot import ${path} module for custom nodes: ${fails}`);
  }
  if (packs.length > 0) {
    log.info('\nImport times for custom nodes:');
    for (const { path, fails } of packs)
      log.info(`   0.0 seconds${fails === undefined ? '' : ' (IMPORT FAILED)'}: ${path}`);
    log.info('');
  }
  return packs.filter(({ fails }) => fails === undefined);
}
