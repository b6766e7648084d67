import { type RequiredProgram, requireProgram } from '@mgpu/core';

const program: RequiredProgram = {
  title: 'the SSH server',
  names: ['sshd'],
  key: 'services.ssh.server.program',
  packages: {
    'apt-get': 'openssh-server',
    apk: 'openssh-server',
    dnf: 'openssh-server',
    yum: 'openssh-server',
    pacman: 'openssh',
    zypper: 'openssh-server',
    brew: 'openssh',
  },
  otherwise: 'https://www.openssh.com/portable.html, or set services.ssh.server.enabled to false',
};

/** The server to run. Throws `CORE_PROGRAM_PATH` or `CORE_PROGRAM_MISSING`. */
export const locateProgram = (configured: string | undefined, env: Readonly<Record<string, string | undefined>>) =>
  requireProgram(program, configured, env);
