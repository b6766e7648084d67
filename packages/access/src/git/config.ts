import { z } from 'zod';

const line = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .regex(/^[^\u0000-\u001f]+$/, 'must be one line');

/** `git@github.com`, or `ssh://git@host:2222`. */
const destination = z
  .string()
  .regex(
    /^(?:[\w.][\w.-]*@[A-Za-z0-9][\w.-]*|ssh:\/\/[\w.][\w.-]*@[A-Za-z0-9][\w.-]*(?::\d{1,5})?)$/,
    'must look like git@github.com or ssh://git@host:2222',
  );

/** Configuration of `services.git-access`. */
export const gitAccessSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether Git has the credentials, hosts and identity of the machine'),
  deployKey: z
    .string()
    .optional()
    .describe(
      'Private SSH key without a passphrase for Git: its text, or that in base64; wins over the other two ways',
    ),
  deployKeyParts: z
    .record(z.string().regex(/^[1-9]$/, 'must be a number from 1 to 9'), z.string())
    .optional()
    .describe('The same cut into parts, by number from 1'),
  deployKeyFile: z.string().min(1).optional().describe('Path of the private key, e.g. a secret that was mounted'),
  knownHosts: z
    .array(line)
    .default([])
    .describe(
      'Lines of known_hosts for further Git servers; github.com, gitlab.com and bitbucket.org are known, others refused',
    ),
  identity: z
    .strictObject({
      name: line.describe('Name of the author'),
      email: line.describe('E-mail address of the author'),
    })
    .optional()
    .describe("Author of commits that the machine makes; default the account's own, if it has one"),
  logIn: z
    .array(destination)
    .default(['git@github.com'])
    .describe('Where the deploy key is tried after the start, user@host; what comes of it is its health'),
  attempts: z.number().int().min(1).max(20).default(3).describe('Tries in a row of a host that cannot be reached'),
  retryMs: z.number().int().min(1).default(2_000).describe('Milliseconds between them'),
  againMs: z
    .number()
    .int()
    .min(1_000)
    .default(600_000)
    .describe('Milliseconds until everything is tried again after that came to nothing'),
});

/** Defaults filled in. */
export type GitAccessConfig = z.output<typeof gitAccessSchema>;
