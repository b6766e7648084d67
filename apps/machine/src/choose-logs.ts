import { ControlClient, DaemonNotRunningError, type InstanceLog } from '@mgpu/control';
import type { NamedLog } from '@mgpu/core';
import { instanceLogs } from './instance-logs.ts';
import { bySelectors, type Selection } from './selectors.ts';
import type { Location } from './settings.ts';

/** Among selectors the daemon's own log. */
export const daemonName = 'daemon';

/** The logs that somebody means. */
export interface ChosenLogs {
  /** Those that are meant and there by now. */
  find(): readonly NamedLog[];
  /** Instances that are meant, which have not printed anything yet. */
  readonly silent: readonly string[];
  /** One was named, and no other can come to it. */
  readonly isOne: boolean;
}

/**
 * What selectors, or a selection, mean among the logs that there are, with a daemon or without one. Who has none may still be
 * an instance: that the daemon is asked about. Throws as the selection does.
 */
export async function chooseLogs(
  meant: readonly string[] | Selection,
  { layout, socketPath }: Location,
  signal: AbortSignal,
): Promise<ChosenLogs> {
  const selectors = typeof meant === 'function' ? [] : meant;
  const selections =
    typeof meant === 'function'
      ? [meant]
      : selectors.filter((each) => each !== daemonName).map((each) => bySelectors([each]));
  const daemon: NamedLog[] = selectors.includes(daemonName) ? [{ name: daemonName, folder: layout.logs }] : [];
  const silent = new Set<string>();
  const present = instanceLogs(layout);
  for (const select of selections) {
    for (const id of await idsOf(select, present, socketPath, signal))
      if (!present.some((each) => each.id === id)) silent.add(id);
  }
  const find = () => {
    const there = instanceLogs(layout);
    const ids = new Set(selections.flatMap((select) => known(select, there) ?? []).map(({ id }) => id));
    return [...daemon, ...there.filter(({ id }) => ids.has(id)).map(({ id, file }) => ({ name: id, file }))];
  };
  const names = [...find().map(({ name }) => name), ...silent];
  const isOne = names.length === 1 && (typeof meant === 'function' || (meant.length === 1 && meant[0] === names[0]));
  return { find, silent: [...silent], isOne };
}

async function idsOf(
  select: Selection,
  present: readonly InstanceLog[],
  socketPath: string,
  signal: AbortSignal,
): Promise<string[]> {
  const found = known(select, present);
  if (found) return found.map(({ id }) => id);
  await using client = new ControlClient({ socketPath });
  try {
    return select(await client.status({ signal })).map(({ id }) => id);
  } catch (error) {
    if (!(error instanceof DaemonNotRunningError)) throw error;
  }
  return select(choiceAmong(present)).map(({ id }) => id); // which says what is wrong
}

const choiceAmong = (instances: readonly InstanceLog[]) => {
  const indexes = new Set(instances.flatMap(({ gpu }) => gpu ?? []));
  return { gpus: [...indexes].toSorted((a, b) => a - b).map((index) => ({ index })), instances };
};

/** Undefined when there is nothing of the kind. */
function known(select: Selection, present: readonly InstanceLog[]): readonly InstanceLog[] | undefined {
  try {
    return select(choiceAmong(present));
  } catch {
    return undefined;
  }
}
