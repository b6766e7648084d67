import { ProgramMissingError, ProgramPathError } from '../errors/core-errors.ts';
import { findProgram } from './find-program.ts';

/** How each package manager installs; `{}` stands for the package. */
const managers = {
  'apt-get': 'apt-get install -y {}',
  apk: 'apk add {}',
  dnf: 'dnf install -y {}',
  yum: 'yum install -y {}',
  pacman: 'pacman -S --noconfirm {}',
  zypper: 'zypper install -y {}',
  brew: 'brew install {}',
} as const;

/** A program a service cannot do without. */
export interface RequiredProgram {
  /** For people: `Redis or Valkey`. */
  readonly title: string;
  /** Names or absolute paths, the best first. */
  readonly names: readonly string[];
  /** Key of the configuration that names another one, e.g. `services.redis.program`. */
  readonly key: string;
  /** Its package with each package manager. */
  readonly packages: Readonly<Record<keyof typeof managers, string>>;
  /** What to do where there is none of these package managers. */
  readonly otherwise: string;
}

/**
 * Path of the program: the configured one, else the first that is installed. Throws `CORE_PROGRAM_PATH` when there is no
 * such configured one, `CORE_PROGRAM_MISSING` with the command that installs it on this system.
 */
export async function requireProgram(
  { title, names, key, packages, otherwise }: RequiredProgram,
  configured: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (configured !== undefined) {
    const path = await findProgram([configured], env);
    if (path === undefined) throw new ProgramPathError({ program: title, path: configured, key });
    return path;
  }
  const found = await findProgram(names, env);
  if (found !== undefined) return found;
  throw new ProgramMissingError({
    program: title,
    looked: names,
    install: await installCommand(packages, otherwise, env),
  });
}

async function installCommand(
  packages: RequiredProgram['packages'],
  otherwise: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  for (const manager of Object.keys(managers) as (keyof typeof managers)[]) {
    if ((await findProgram([manager], env)) === undefined) continue;
    const command = managers[manager].replace('{}', packages[manager]);
    // Homebrew refuses to run as root; everything else needs it.
    return process.getuid?.() === 0 || manager === 'brew' ? command : `sudo ${command}`;
  }
  return otherwise;
}
