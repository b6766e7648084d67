import { type RequiredProgram, requireProgram } from '@mgpu/core';

const program: RequiredProgram = {
  title: 'nginx',
  names: ['nginx'],
  key: 'services.nginx.program',
  packages: {
    'apt-get': 'nginx-light',
    apk: 'nginx',
    dnf: 'nginx',
    yum: 'nginx',
    pacman: 'nginx',
    zypper: 'nginx',
    brew: 'nginx',
  },
  otherwise: 'https://nginx.org/en/docs/install.html, or set services.nginx.enabled to false',
};

/** The server to run. Throws `CORE_PROGRAM_PATH` or `CORE_PROGRAM_MISSING`. */
export const locateProgram = (configured: string | undefined, env: Readonly<Record<string, string | undefined>>) =>
  requireProgram(program, configured, env);
