import type { Operation } from '@mgpu/control';
import { z } from 'zod';
import { type CommandOperation, runnable } from './command-operation.ts';
import { engineOperations } from './engines.ts';
import { modelOperations } from './models.ts';
import { nodeOperations } from './nodes.ts';
import type { CommandSite } from './run-command.ts';

const commands: readonly CommandOperation[] = [
  {
    name: 'doctor',
    summary: 'Looks for what would keep the machine from working',
    changes: false,
    input: z.strictObject({}),
  },
  ...modelOperations,
  ...nodeOperations,
  ...engineOperations,
];

/** What can be done with a machine that may take long. `site` is asked for each, and throws where nothing may begin. */
export const operationsOf = (site: () => CommandSite): readonly Operation[] =>
  commands.map((each) => runnable(each, site));
