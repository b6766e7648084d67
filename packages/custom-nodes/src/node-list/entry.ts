import { z } from 'zod';

/** A folder's name that is one component of a path and that neither a program nor ComfyUI takes for something else. */
const nameProblem = (name: string): string | undefined => {
  if (/^[-.]/.test(name)) return 'must not begin with "." or "-"';
  if (/[/\\]/.test(name)) return 'must be the name of a folder, not a path';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) return 'must not have control characters';
  if (name.endsWith('.disabled') || name === '__pycache__') return 'is one that ComfyUI does not load';
  return undefined;
};

export const nodeNameSchema = z
  .string()
  .min(1)
  .max(128)
  .superRefine((name, context) => {
    const message = nameProblem(name);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

/** Lists made from a database have `null` for what is not said. */
const maybe = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

/** One custom node in `config_nodes.json`. */
export const nodeEntrySchema = z.strictObject({
  name: nodeNameSchema.describe('Folder of the node below custom_nodes'),
  url: z.string().min(1).describe('URL of its Git repository'),
  branch: maybe(z.string()).describe('Branch or tag to follow; without it the default branch'),
  commit: maybe(z.string()).describe('Commit to stay at; wins over `branch`'),
  recursive: maybe(z.boolean()).describe('With its submodules; default false'),
  requirements: maybe(z.boolean()).describe('Whether its requirements.txt is installed; default true'),
  env: maybe(z.record(z.string().regex(/^[A-Za-z_]\w*$/, 'must be the name of a variable'), z.string())).describe(
    'Written to .env in its folder; ${VAR} stands for the variable of the machine',
  ),
  custom_script: maybe(z.string()).describe('Shell commands to run in its folder after its requirements are there'),
  install_script: maybe(z.boolean()).describe("Whether the pack's own install.py is run; default false"),
  install_order: maybe(z.number()).describe('Scripts run in this order, then by name; default 0'),
  enabled: maybe(z.boolean()).describe('False: it is put aside in custom_nodes/.disabled; default true'),
});

export interface NodeEntry {
  readonly name: string;
  readonly url: string;
  readonly branch?: string | undefined;
  readonly commit?: string | undefined;
  /** Default false. */
  readonly recursive?: boolean | undefined;
  /** Default true. */
  readonly requirements?: boolean | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly custom_script?: string | undefined;
  /** Default false. */
  readonly install_script?: boolean | undefined;
  /** Default 0. */
  readonly install_order?: number | undefined;
  /** Default true. */
  readonly enabled?: boolean | undefined;
}

export const isEnabled = ({ enabled }: NodeEntry): boolean => enabled !== false;

/** Scripts and requirements go by it. */
export const byInstallOrder = (a: NodeEntry, b: NodeEntry): number =>
  (a.install_order ?? 0) - (b.install_order ?? 0) || (a.name < b.name ? -1 : 1);
