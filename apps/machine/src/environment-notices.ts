import { type AnyServiceDefinition, connectorNames, connectorsFromText, environmentBindings } from '@mgpu/core';
import { foreignVariables, formerVariables, type SilentVariables } from './former-variables.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What of the environment does not do what whoever set it may expect, one sentence each. */
export function environmentNotices(env: Environment, definitions: readonly AnyServiceDefinition[]): readonly string[] {
  const known = new Set([...environmentBindings(definitions).map(({ name }) => name), ...namesIn(foreignVariables)]);
  const set = Object.keys(env).filter((name) => env[name] !== undefined && env[name] !== '' && !known.has(name));
  return [
    ...formerVariables.flatMap(({ names, why }) =>
      notice(
        set.filter((name) => isAmong(names, name)),
        why,
      ),
    ),
    ...notice(
      set.filter((name) => isAmong(['WORKER_BASE_*_PORT'], name)),
      'no service of this machine has such a port',
    ),
    ...connectorNotices(env, definitions),
  ];
}

const notice = (names: readonly string[], why: string) =>
  names.length === 0 ? [] : [`${names.toSorted().join(', ')}: ignored; ${why}`];

const namesIn = (variables: readonly SilentVariables[]) => variables.flatMap(({ names }) => names);

const isAmong = (names: readonly string[], name: string) =>
  names.some((each) => {
    const [start = '', end] = each.split('*');
    return end === undefined ? each === name : name.startsWith(start) && name.endsWith(end);
  });

/** Names of engines that this machine does not have, and counts: neither is worth failing a boot over. */
function connectorNotices(env: Environment, definitions: readonly AnyServiceDefinition[]): string[] {
  const engines = definitions.filter(({ connector }) => connector !== undefined).map(({ kind }) => kind);
  const isOurs = (name: string) => {
    const kinds = connectorsFromText(name);
    return kinds === 'all' || (kinds.length > 0 && kinds.every((kind) => engines.includes(kind)));
  };
  const perVariable = ['WORKERS', 'WORKER_CONNECTORS'].flatMap((variable) => {
    const strangers = connectorNames(env[variable] ?? '').filter((name) => !isOurs(name));
    if (strangers.length === 0) return [];
    const simulated = strangers.some((name) => /^(simulation|mock)/.test(name));
    const why = simulated
      ? 'MOCK_GPU=1 simulates engines, which do the jobs of real ones'
      : `it has ${engines.join(', ')}`;
    return [`${variable} names ${strangers.join(', ')}, for which this machine has no engine; ${why}`];
  });
  const counts = /:\s*\d/.test(env.WORKERS ?? '')
    ? [
        'the counts in WORKERS say nothing: each GPU has one worker and one of each engine; services.<kind>.gpus names fewer GPUs',
      ]
    : [];
  return [...perVariable, ...counts];
}
