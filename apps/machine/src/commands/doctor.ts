import { constants, statSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { ControlClient, type MachineStatus } from '@mgpu/control';
import {
  expectPortsFree,
  type Finding,
  findGpus,
  type GpuInventory,
  type PlannedPort,
  planMachine,
  reportError,
  systemClock,
} from '@mgpu/core';
import { asInit } from '../as-init.ts';
import { RootUnusableError } from '../errors.ts';
import { doctorText } from '../print/doctor-view.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { gpuFindings } from './gpu-findings.ts';
import { hostFindings, nearestFolder } from './host-findings.ts';

/** What was found, what about, and where it belongs. */
export interface NamedFinding extends Finding {
  readonly subject: string;
  readonly group: 'Host' | 'Machine' | 'GPUs' | 'Services';
}

type Named = Omit<NamedFinding, 'group'>;

/** Looks for what would keep the machine from working, changing nothing. Exit code 1 when something would. */
export async function doctor({ output, settings }: CommandContext): Promise<ExitCode> {
  const configured = await loadSettings(settings);
  const running = await runningMachine(configured);
  // One that was started with --mock is looked at as what it is.
  const simulated = running?.gpus.filter(({ mode }) => mode === 'mock').length ?? 0;
  const loaded =
    settings.mock === undefined && simulated > 0 ? await loadSettings({ ...settings, mock: simulated }) : configured;
  const inventory = await findGpus(loaded.config.machine.gpu).catch(asError);
  const daemonPid = running?.daemon.pid;
  const init: Named[] =
    process.pid === 1 || daemonPid === 1 ? [{ subject: 'init', level: 'warning', message: asInit }] : [];
  const node: Named = {
    subject: 'node',
    level: 'ok',
    message: `${process.version} on ${process.platform} ${process.arch}`,
  };
  const findings: NamedFinding[] = [
    ...inGroup('Host', [node, ...init, ...(await hostFindings(loaded))]),
    ...inGroup('GPUs', await gpuFindings(loaded, inventory)),
    ...inGroup('Machine', [
      await rootFinding(loaded),
      configFinding(loaded),
      ...loaded.notices.map((message): Named => ({ subject: 'config', level: 'warning', message })),
      ...(inventory instanceof Error ? [] : await planFindings(loaded, inventory, daemonPid)),
    ]),
    ...inGroup('Services', await serviceFindings(loaded)),
  ];
  output.data('Doctor', findings);
  output.line(() => doctorText(findings, output.width));
  return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done;
}

const inGroup = (group: NamedFinding['group'], findings: readonly Named[]): NamedFinding[] =>
  findings.map((each) => ({ ...each, group }));

const configFinding = ({ file }: Settings): Named => ({
  subject: 'config',
  level: 'ok',
  message: file ?? 'no file: everything as it comes',
});

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

/** What a boot would refuse before it starts anything, and ports that somebody holds. */
async function planFindings(
  settings: Settings,
  inventory: GpuInventory,
  daemonPid: number | undefined,
): Promise<Named[]> {
  try {
    const { ports } = planMachine(settings.definitions, settings.config, inventory);
    return await portFindings(ports, daemonPid);
  } catch (error) {
    return [failed('plan', error)];
  }
}

/** Undefined when nobody is there, or somebody about to end. */
async function runningMachine({ socketPath }: Settings): Promise<MachineStatus | undefined> {
  await using client = new ControlClient({ socketPath });
  return await client.status().catch(() => undefined);
}

/** A machine that runs holds its ports itself. */
async function portFindings(ports: readonly PlannedPort[], daemonPid: number | undefined): Promise<Named[]> {
  if (daemonPid !== undefined)
    return [{ subject: 'ports', level: 'ok', message: `the machine is running, its daemon is process ${daemonPid}` }];
  const findings = ports.map(({ instance, port }) =>
    expectPortsFree(instance, [{ port }], { clock: systemClock }).then(
      () => [],
      (error: unknown) => [failed('ports', error)],
    ),
  );
  const taken = (await Promise.all(findings)).flat();
  if (taken.length > 0 || ports.length === 0) return taken;
  const free = ports.map(({ port }) => port).toSorted((a, b) => a - b);
  return [{ subject: 'ports', level: 'ok', message: `free: ${free.join(', ')}` }];
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
