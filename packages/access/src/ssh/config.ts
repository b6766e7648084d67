import { z } from 'zod';

/** Configuration of `services.ssh`. */
export const sshSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether the machine sees to SSH keys; without any, nothing is done'),
  authorizedKeys: z
    .array(z.string().min(1))
    .default([])
    .describe('Public keys that may log in, each as one line of authorized_keys'),
  authorizedKeysFile: z.string().min(1).optional().describe('File with further ones, one a line; read at every start'),
  account: z
    .boolean()
    .default(false)
    .describe(
      'Whether the keys are also kept, in a block of their own, in ~/.ssh/authorized_keys, for an SSH server that is not ours',
    ),
  server: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('Whether an sshd of our own runs, for this account and these keys alone'),
      host: z
        .union([z.ipv4(), z.ipv6(), z.literal('localhost')])
        .default('127.0.0.1')
        .describe('Address it listens on; 0.0.0.0 lets everybody knock'),
      port: z.number().int().min(1).max(65_535).default(2222).describe('Port it listens on'),
      program: z.string().min(1).optional().describe('Path of sshd; without it sshd is looked up in PATH'),
      forwarding: z
        .boolean()
        .default(true)
        .describe('Whether who is logged in may open tunnels to ports of this machine (ssh -L)'),
    })
    .prefault({})
    .describe('The SSH server'),
});

/** Defaults filled in. */
export type SshConfig = z.output<typeof sshSchema>;
