import { ControlClient, type MachineStatus } from '@mgpu/control';
import type { Layout } from '@mgpu/core';
import { type Incident, readIncidents } from '@mgpu/watchdog';
import { SubjectUnknownError } from '../errors.ts';
import { instanceLogs } from '../instance-logs.ts';
import { whyText } from '../print/why-view.ts';
import { locateMachine } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** What went wrong with a subject and what was done about it; needs no daemon. Throws `MACHINE_SUBJECT_UNKNOWN`. */
export async function why({ output, settings, interrupted }: CommandContext, subject: string): Promise<ExitCode> {
  const { layout, socketPath } = await locateMachine(settings);
  await using client = new ControlClient({ socketPath });
  // A daemon that is down, or does not answer, is what people ask about.
  const status = await client.status({ signal: interrupted }).catch(() => undefined);
  const all = await readIncidents(layout.state);
  const incidents = aboutIn(all, subject, status);
  if (incidents.length === 0) await expectKnown(subject, { layout, status, all });
  const present = status?.instances.find(({ id }) => id === subject);
  output.data('Why', { subject, ...(present ? { present } : {}), incidents });
  output.line(whyText({ subject, present, isRunning: status !== undefined, incidents }));
  return exitCodes.done;
}

const gpuIn = (subject: string): number | undefined => {
  const index = /^gpu:(\d{1,3})$/.exec(subject)?.[1];
  return index === undefined ? undefined : Number(index);
};

/**
 * A GPU's are its own and those of the instances on it, the machine's those that concern all. An instance's are also those
 * of its GPU, and the machine's while that takes no jobs because of them.
 */
function aboutIn(all: readonly Incident[], asked: string, status: MachineStatus | undefined) {
  const index = gpuIn(asked);
  const uuid = status?.gpus.find((each) => each.index === index)?.uuid;
  if (index !== undefined) return all.filter(({ subject, gpu }) => gpu === index || subject === uuid);
  if (asked === 'machine') return all.filter(({ scope }) => scope === 'host');
  const present = status?.instances.find(({ id }) => id === asked);
  const itsGpu = present?.gpu ?? all.findLast(({ subject }) => subject === asked)?.gpu;
  const { reason } = present ?? {};
  const isKeptFromJobs = reason !== undefined && 'code' in reason && reason.code === 'WATCHDOG_INTAKE_STOPPED';
  return all.filter(({ subject, scope, gpu }) => {
    if (subject === asked) return true;
    return scope === 'gpu' ? gpu !== undefined && gpu === itsGpu : scope === 'host' && isKeptFromJobs;
  });
}

async function expectKnown(
  subject: string,
  { layout, status, all }: { layout: Layout; status: MachineStatus | undefined; all: readonly Incident[] },
): Promise<void> {
  const index = gpuIn(subject);
  // Without a daemon nobody asks the driver what there is.
  if (subject === 'machine' || (index !== undefined && status === undefined)) return;
  const instances = status?.instances.map(({ id }) => id) ?? instanceLogs(layout).map(({ id }) => id);
  const gpus = status?.gpus.map((each) => `gpu:${each.index}`) ?? [];
  const known = [...new Set([...instances, ...all.map((each) => each.subject), ...gpus, 'machine'])].toSorted();
  if (!known.includes(subject)) throw new SubjectUnknownError({ subject, known });
}
