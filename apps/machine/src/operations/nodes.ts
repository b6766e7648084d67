import { z } from 'zod';
import type { CommandOperation } from './command-operation.ts';
import { file, flag, names, text } from './input.ts';

const apply = z.strictObject({
  locked: z
    .union([z.boolean(), file])
    .optional()
    .describe('To the commits and packages of the lock, or of another in a file of the machine; not to the newest'),
  force: flag('Stash edits that are in the way'),
  prune: flag('Remove packs that an apply brought and the list does not have any more'),
  retry: flag('Try again what failed before and would fail again as far as is known'),
});

const some = z.strictObject({ names: names('Names of packs') });

export const nodeOperations: readonly CommandOperation[] = [
  {
    name: 'nodes.ls',
    summary: 'The packs of custom nodes that are there',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'nodes.plan',
    summary: 'What an apply would do',
    changes: false,
    input: apply,
  },
  {
    name: 'nodes.apply',
    summary: 'Brings the packs to what the list says, instance by instance',
    changes: true,
    input: apply,
  },
  {
    name: 'nodes.lock',
    summary: 'The lock: commits and packages as they are',
    changes: false,
    input: z.strictObject({}),
  },
  {
    name: 'nodes.add',
    summary: 'Adds a pack to the list and to the machine; to neither when it fails',
    changes: true,
    input: z.strictObject({
      url: text(2_000).describe('URL of its repository'),
      name: text(200).optional().describe('Its folder; default: from the URL'),
      branch: text(250).optional().describe('Its newest commit, at each update'),
      commit: text(64).optional().describe('This one, whatever comes after it'),
      recursive: flag('With submodules'),
      requirements: flag('False: without its requirements.txt'),
      installScript: flag('Run its install.py'),
    }),
    operands: ['url'],
    negated: ['requirements'],
  },
  {
    name: 'nodes.update',
    summary: 'Brings packs to the newest commit that their entry allows',
    changes: true,
    input: z.strictObject({ names: names('Names of packs; default: all').optional() }),
    operands: ['names'],
  },
  {
    name: 'nodes.remove',
    summary: 'Takes packs out of the list and off the machine',
    changes: true,
    input: some,
    operands: ['names'],
  },
  {
    name: 'nodes.enable',
    summary: 'Puts packs back into their place',
    changes: true,
    input: some,
    operands: ['names'],
  },
  {
    name: 'nodes.disable',
    summary: 'Puts packs aside',
    changes: true,
    input: some,
    operands: ['names'],
  },
  {
    name: 'nodes.restore',
    summary: 'Brings the packs to a snapshot of ComfyUI-Manager; fails with what differs',
    changes: true,
    input: z.strictObject({ snapshot: file.describe('Its file on the machine') }),
    operands: ['snapshot'],
  },
  {
    name: 'nodes.rollback',
    summary: 'Brings back the generation before',
    changes: true,
    input: z.strictObject({}),
  },
];
