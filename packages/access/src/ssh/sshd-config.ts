import { opensshPath } from '../openssh-value.ts';
import type { SshConfig } from './config.ts';

export interface SshdSettings {
  readonly server: SshConfig['server'];
  readonly user: string;
  readonly hostKey: string;
  readonly authorizedKeys: string;
}

/** Nothing of the system's own sshd is read: public keys only, this account only, no way on to other machines' ports. */
export function sshdConfig({ server, user, hostKey, authorizedKeys }: SshdSettings): string {
  const { host, port, forwarding } = server;
  return `${[
    '# Written by mgpu at every start; what is to stay belongs into its configuration.',
    `ListenAddress ${host.includes(':') ? `[${host}]` : host}:${port}`,
    `HostKey ${opensshPath(hostKey)}`,
    'PidFile none',
    `AuthorizedKeysFile ${opensshPath(authorizedKeys)}`,
    // We look at the path ourselves: sshd takes a sticky /tmp for open to everybody.
    'StrictModes no',
    `AllowUsers ${user}`,
    'PermitRootLogin prohibit-password',
    'AuthenticationMethods publickey',
    'PubkeyAuthentication yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'HostbasedAuthentication no',
    // Its session modules fail in most containers, and only root could use them.
    'UsePAM no',
    'PermitUserEnvironment no',
    `AllowTcpForwarding ${forwarding ? 'local' : 'no'}`,
    'AllowStreamLocalForwarding no',
    'AllowAgentForwarding no',
    'GatewayPorts no',
    'PermitTunnel no',
    'X11Forwarding no',
    'PrintMotd no',
    'UseDNS no',
    'LoginGraceTime 30',
    'ClientAliveInterval 60',
    'ClientAliveCountMax 3',
    'LogLevel INFO',
    'Subsystem sftp internal-sftp',
  ].join('\n')}\n`;
}
