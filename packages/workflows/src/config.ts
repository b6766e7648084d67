import { z } from 'zod';

/** Names that nobody means to share: drafts, temporary files of editors, names that are an address. */
const scratch = [
  '**/.*',
  '**/.*/**',
  '**/Unsaved Workflow*',
  '**/*~',
  '**/*.{tmp,temp,swp,part,bak}',
  '**/*{http,https}{:,%3A,%3a}*',
];

/** Configuration of `services.workflows`. */
export const workflowsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('Whether workflows are kept in step; without a repository nothing is done'),
  url: z
    .string()
    .min(1)
    .optional()
    .describe('The repository; without it the one that the folder is a checkout of already'),
  branch: z
    .string()
    .min(1)
    .optional()
    .describe("Its branch; default the one that is checked out, else the repository's default"),
  dir: z
    .string()
    .min(1)
    .optional()
    .describe('The checkout; default `shared/workflows` below the root. Files that lie there already are shared, too'),
  folder: z
    .string()
    .regex(
      /^(?!\/)(?!(?:.*\/)?\.{1,2}(?:\/|$))[^\\]+[^/\\]$|^[^./\\]$/,
      'must be a folder below the checkout, such as `workflows`',
    )
    .optional()
    .describe('Folder in the checkout whose files are shared, where the repository has more than workflows'),
  exclude: z
    .array(z.string().min(1))
    .default(scratch)
    .describe('Patterns of new files that are not shared, relative to the folder; those the repository has always are'),
  maxFileMiB: z.number().positive().default(20).describe('MiB above which a file is not shared'),
  deletions: z
    .enum(['share', 'restore'])
    .default('share')
    .describe('Files that are removed here: removed for everybody (an emptied folder never is), or given back'),
  watch: z.boolean().default(true).describe('Whether an edit is shared as soon as it is there'),
  settleMs: z.number().int().min(10).default(2_000).describe('Milliseconds without a further edit until then'),
  intervalMs: z
    .number()
    .int()
    .min(100)
    .default(60_000)
    .describe('Milliseconds between two looks at the repository, up to a tenth more or less by chance'),
});

/** Defaults filled in. */
export type WorkflowsConfig = z.output<typeof workflowsSchema>;
