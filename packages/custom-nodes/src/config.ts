import { z } from 'zod';

/** Configuration of `services.custom-nodes`. */
export const customNodesSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether custom nodes are brought to what the list says'),
  list: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Path of the list; default `shared/config_nodes.json` below the root. Without such a file nothing is done',
    ),
  testMode: z.boolean().default(false).describe('The list is `shared/config_nodes_test.json` where `list` names none'),
  allow: z
    .array(z.string().min(1))
    .optional()
    .describe('Patterns of URLs that nodes may come from, `*` for anything; default any'),
  scripts: z
    .enum(['asked', 'all', 'none'])
    .default('asked')
    .describe("Which scripts are run: those that the list asks for, each pack's install.py as well, or none"),
  concurrency: z.number().int().min(1).max(64).default(4).describe('Repositories that are worked on at the same time'),
  attempts: z.number().int().min(1).max(10).default(3).describe('How often in all is tried what may pass'),
  update: z
    .enum(['missing', 'all'])
    .default('missing')
    .describe(
      'At the start: bring what is not there or pinned otherwise, or let branches follow their repositories, too',
    ),
});

/** Defaults filled in. */
export type CustomNodesConfig = z.output<typeof customNodesSchema>;

/** Configuration of `services.preinstalled-nodes`. */
export const preinstalledNodesSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether custom nodes that an image brought along are moved'),
  from: z
    .string()
    .min(1)
    .optional()
    .describe('Folder they are moved from; default `shared_custom_nodes` below the root. Without it nothing is done'),
});

/** Defaults filled in. */
export type PreinstalledNodesConfig = z.output<typeof preinstalledNodesSchema>;
