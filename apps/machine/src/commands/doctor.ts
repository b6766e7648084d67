import { constants, existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type AnyServiceDefinition, type Finding, type Gpu, GpuMonitor, reportError } from '@mgpu/core';
import pc from 'picocolors';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

interface Named extends Finding {
  readonly subject: string;
}

/** Looks for what would keep the machine from working, changing nothing. */
export async function doctor({ output, settings }: CommandContext): Promise<ExitCode> {
  const loaded = await loadSettings(settings);
  const findings = [
    nodeFinding(),
    await rootFinding(loaded),
    ...(await gpuFindings(loaded)),
    ...(await serviceFindings(loaded)),
  ];
  output.data('Doctor', findings);
  const mark = { ok: pc.green('✔'), warning: pc.yellow('!'), error: pc.red('✖') };
  for (const { level, subject, message, hint } of findings) {
    output.line(`${mark[level]} ${subject.padEnd(10)} ${message}`);
    if (hint && level !== 'ok') output.line(`             ${pc.dim('→')} ${hint}`);
  }
  return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done;
}

function nodeFinding(): Named {
  const message = `${process.version} on ${process.platform} ${process.arch}`;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return { subject: 'node', level: 'ok', message };
  return { subject: 'node', level: 'error', message: `${message}: too old`, hint: 'install Node 22.19 or newer' };
}

async function rootFinding({ layout }: Settings): Promise<Named> {
  try {
    let nearest = layout.root;
    while (!existsSync(nearest)) nearest = dirname(nearest);
    await access(nearest, constants.W_OK);
    return { subject: 'root', level: 'ok', message: layout.root };
  } catch (error) {
    const hint = 'set machine.root, ROOT or --root to a folder you may write to';
    return { subject: 'root', level: 'error', message: reportError(error).message, hint };
  }
}

async function gpuFindings({ config }: Settings): Promise<Named[]> {
  try {
    const { gpus, problem } = await new GpuMonitor().inventory(config.machine.gpu);
    const found = gpus.map((gpu): Named => ({ subject: `gpu ${gpu.index}`, level: 'ok', message: describeGpu(gpu) }));
    if (!problem) return found;
    return [...found, { subject: 'gpu', level: 'warning', ...finding(problem) }];
  } catch (error) {
    return [{ subject: 'gpu', level: 'error', ...finding(error) }];
  }
}

const describeGpu = ({ name, memoryMiB, uuid, mode }: Gpu) =>
  mode === 'cpu' ? 'none found, engines run on the CPU' : `${name}, ${memoryMiB} MiB, ${uuid ?? 'no UUID'}`;

async function serviceFindings({ definitions, config, layout, env }: Settings): Promise<Named[]> {
  const enabled = definitions.filter(({ kind }) => config.services[kind]?.enabled);
  const perService = enabled.map(async (definition: AnyServiceDefinition) => {
    const { kind, doctor } = definition;
    const findings = (await doctor?.call(definition, config.services[kind], { layout, env })) ?? [];
    return findings.map((each): Named => ({ subject: kind, ...each }));
  });
  return (await Promise.all(perService)).flat();
}

function finding(error: unknown): { message: string; hint?: string } {
  const { message, hint } = reportError(error);
  return { message, ...(hint === undefined ? {} : { hint }) };
}
