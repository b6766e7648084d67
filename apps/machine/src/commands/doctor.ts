import { constants, statSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { ControlClient } from '@mgpu/control';
import {
  expectPortsFree,
  type Finding,
  findGpus,
  type Gpu,
  type GpuInventory,
  type PlannedPort,
  planMachine,
  reportError,
  systemClock,
} from '@mgpu/core';
import pc from 'picocolors';
import { asInit } from '../as-init.ts';
import { RootUnusableError } from '../errors.ts';
import { marks, paragraph } from '../print/text.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { hostFindings, nearestFolder } from './host-findings.ts';

interface Named extends Finding {
  readonly subject: string;
}

/** Looks for what would keep the machine from working, changing nothing. */
export async function doctor({ output, settings }: CommandContext): Promise<ExitCode> {
  const loaded = await loadSettings(settings);
  const inventory = await findGpus(loaded.config.machine.gpu).catch(asError);
  const daemonPid = await pidOfDaemon(loaded);
  const findings = [
    { subject: 'node', level: 'ok' as const, message: `${process.version} on ${process.platform} ${process.arch}` },
    ...(process.pid === 1 || daemonPid === 1 ? [{ subject: 'init', level: 'warning' as const, message: asInit }] : []),
    ...(await hostFindings(loaded)),
    await rootFinding(loaded),
    ...loaded.notices.map((message): Named => ({ subject: 'config', level: 'warning', message })),
    ...gpuFindings(inventory),
    ...(inventory instanceof Error ? [] : await planFindings(loaded, inventory, daemonPid !== undefined)),
    ...(await serviceFindings(loaded)),
  ];
  output.data('Doctor', findings);
  const subjectWidth = Math.max(...findings.map(({ subject }) => subject.length));
  for (const { level, subject, message, hint } of findings) {
    output.line(paragraph(`${marks[level]} ${subject.padEnd(subjectWidth)} `, message));
    if (hint && level !== 'ok') output.line(paragraph(`${' '.repeat(subjectWidth + 3)}${pc.dim('→')} `, hint));
  }
  return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done;
}

async function rootFinding({ layout }: Settings): Promise<Named> {
  const refuse = (problem: string) => failed('root', new RootUnusableError({ root: layout.root, problem }));
  const nearest = nearestFolder(layout.root);
  if (!statSync(nearest).isDirectory()) return refuse(`${nearest} is not a folder`);
  try {
    await access(nearest, constants.W_OK);
    return { subject: 'root', level: 'ok', message: layout.root };
  } catch (error) {
    return refuse(reportError(error).message);
  }
}

function gpuFindings(inventory: GpuInventory | Error): Named[] {
  if (inventory instanceof Error) return [failed('gpu', inventory)];
  const { gpus, problem } = inventory;
  const found = gpus.map((gpu): Named => ({ subject: `gpu ${gpu.index}`, level: 'ok', message: describeGpu(gpu) }));
  return problem ? [...found, { ...failed('gpu', problem), level: 'warning' }] : found;
}

const describeGpu = ({ name, memoryMiB, uuid, mode }: Gpu) =>
  mode === 'cpu' ? 'none found, engines run on the CPU' : `${name}, ${memoryMiB} MiB, ${uuid ?? 'no UUID'}`;

/** What a boot would refuse before it starts anything, and ports that somebody holds. */
async function planFindings(settings: Settings, inventory: GpuInventory, isUp: boolean): Promise<Named[]> {
  try {
    const { ports } = planMachine(settings.definitions, settings.config, inventory);
    return await portFindings(ports, isUp);
  } catch (error) {
    return [failed('plan', error)];
  }
}

/** Undefined when nobody is there, or somebody about to end. */
async function pidOfDaemon({ socketPath }: Settings): Promise<number | undefined> {
  await using client = new ControlClient({ socketPath });
  return await client.status().then(
    ({ daemon }) => daemon.pid,
    () => undefined,
  );
}

/** A machine that runs holds its ports itself. */
async function portFindings(ports: readonly PlannedPort[], isUp: boolean): Promise<Named[]> {
  if (isUp) return [{ subject: 'ports', level: 'ok', message: 'the machine is running' }];
  const findings = ports.map(({ instance, port }) =>
    expectPortsFree(instance, [{ port }], { clock: systemClock }).then(
      () => [],
      (error: unknown) => [failed('ports', error)],
    ),
  );
  return (await Promise.all(findings)).flat();
}

async function serviceFindings({ definitions, config, layout, env }: Settings): Promise<Named[]> {
  const enabled = definitions.filter(({ kind }) => config.services[kind]?.enabled);
  const perService = enabled.map(async (definition) => {
    const { kind } = definition;
    const findings = (await definition.doctor?.(config.services[kind], { layout, env })) ?? [];
    return findings.map(({ message, ...rest }): Named => ({ subject: kind, ...rest, message: without(kind, message) }));
  });
  return (await Promise.all(perService)).flat();
}

/** The message without the name that stands beside it already. */
const without = (kind: string, message: string) =>
  message.startsWith(`${kind}: `) ? message.slice(kind.length + 2) : message;

function failed(subject: string, error: unknown): Named {
  const { message, hint } = reportError(error);
  return { subject, level: 'error', message, ...(hint === undefined ? {} : { hint }) };
}

const asError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)));
