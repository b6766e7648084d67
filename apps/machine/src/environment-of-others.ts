import { environmentBindings } from '@mgpu/core';
import type { Settings } from './settings.ts';

/**
 * What engines, their custom nodes and installers see of the environment: nothing that became configuration, passwords among
 * it, for that is no business of theirs.
 */
export function environmentOfOthers({ definitions, env }: Pick<Settings, 'definitions' | 'env'>): Settings['env'] {
  const consumed = new Set(environmentBindings(definitions).map(({ name }) => name));
  return Object.fromEntries(Object.entries(env).filter(([name]) => !consumed.has(name)));
}
