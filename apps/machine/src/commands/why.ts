import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { ControlClient, type MachineStatus } from '@mgpu/control';
import type { Layout } from '@mgpu/core';
import { type Incident, readIncidents } from '@mgpu/watchdog';
import { SubjectUnknownError } from '../errors.ts';
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
  const incidents = all.filter((each) => isAbout(each, subject, status));
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

/** A GPU's are its own and those of the instances on it, the machine's those that concern all. */
function isAbout({ subject, scope, gpu }: Incident, asked: string, status: MachineStatus | undefined): boolean {
  const index = gpuIn(asked);
  if (index !== undefined) return gpu === index || status?.gpus.find((each) => each.index === index)?.uuid === subject;
  return asked === 'machine' ? scope === 'host' : subject === asked;
}

async function expectKnown(
  subject: string,
  { layout, status, all }: { layout: Layout; status: MachineStatus | undefined; all: readonly Incident[] },
): Promise<void> {
  const index = gpuIn(subject);
  // Without a daemon nobody asks the driver what there is.
  if (subject === 'machine' || (index !== undefined && status === undefined)) return;
  const instances = status?.instances.map(({ id }) => id) ?? (await instancesOn(layout));
  const gpus = status?.gpus.map((each) => `gpu:${each.index}`) ?? [];
  const known = [...new Set([...instances, ...all.map((each) => each.subject), ...gpus, 'machine'])].toSorted();
  if (!known.includes(subject)) throw new SubjectUnknownError({ subject, known });
}

/** Those that have a folder. */
async function instancesOn({ root, instance }: Layout): Promise<string[]> {
  if (!existsSync(root)) return [];
  const entries = await readdir(root, { withFileTypes: true });
  return entries
    .filter((each) => each.isDirectory() && existsSync(`${instance(each.name)}/logs/output.log`))
    .map(({ name }) => name);
}
