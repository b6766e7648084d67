import { type RequiredProgram, requireProgram } from '@mgpu/core';

const program: RequiredProgram = {
  title: 'nginx',
  names: ['nginx'],
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

/** The server to run: the configured one, else the first that is installed. Throws `CORE_PROGRAM_MISSING`. */
export const locateProgram = (configured: string | undefined, env: Readonly<Record<string, string | undefined>>) =>
  requireProgram(configured === undefined ? program : { ...program, names: [configured] }, env);
