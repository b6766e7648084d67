import { ControlClient, type MachineStatus } from '@mgpu/control';
import { locateMachine, type SettingsOptions } from '../settings.ts';
import type { LiveWords, Word } from './expected.ts';

/** Somebody waits for each key: a daemon that does not answer by then is left alone. */
const answerTimeoutMs = 500;

/** Words that the daemon knows; none, and nothing said, when there is no answer. */
export async function liveWords(what: LiveWords, settings: SettingsOptions): Promise<readonly Word[]> {
  try {
    const { socketPath } = await locateMachine(settings);
    await using client = new ControlClient({ socketPath, answerTimeoutMs });
    return wordsOf(what, await client.status());
  } catch {
    return []; // in the middle of a command line nothing can be said
  }
}

function wordsOf(what: LiveWords, { gpus, instances }: MachineStatus): readonly Word[] {
  const kinds = [...new Set(instances.map(({ kind }) => kind))];
  const ids = instances.map(({ id, state }) => ({ value: id, description: state }));
  const services = kinds.map((value) => ({ value, description: 'service' }));
  const all = { value: 'all', description: 'everything' };
  const named = gpus.map(({ index, name }) => ({ value: `gpu:${index}`, description: name }));
  if (what === 'services') return services;
  if (what === 'gpus') return [...gpus.map(({ index, name }) => ({ value: String(index), description: name })), all];
  if (what === 'subjects') return [...ids, ...named, { value: 'machine', description: 'the machine' }];
  // What runs once for the machine is called like its service.
  return [...services, ...ids.filter(({ value }) => !kinds.includes(value)), ...named, all];
}
