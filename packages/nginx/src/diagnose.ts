import { type Finding, findingOf, runCommand } from '@mgpu/core';
import type { NginxConfig } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { asksForPassword, expectProtected, readUsers } from './users.ts';

/** The first whose `-e` keeps it from the system's own log. */
const oldest = '1.20';

type Environment = Readonly<Record<string, string | undefined>>;

/** What is to be said about the proxy before it runs. */
export async function diagnose(config: NginxConfig, env: Environment): Promise<readonly Finding[]> {
  const findings = [await diagnoseProgram(config.program, env)];
  try {
    expectProtected('nginx', config);
    if (asksForPassword(config)) await readUsers('nginx', config);
  } catch (error) {
    findings.push(findingOf(error, 'warning'));
  }
  return findings;
}

async function diagnoseProgram(program: string | undefined, env: Environment): Promise<Finding> {
  try {
    const file = await locateProgram(program, env);
    const { stderr } = await runCommand(file, ['-v']);
    const version = /nginx\/(\d\S*)/.exec(stderr)?.[1];
    if (version === undefined) return { level: 'warning', message: `nginx: ${file} does not tell its version` };
    if (version.localeCompare(oldest, 'en', { numeric: true }) >= 0)
      return { level: 'ok', message: `nginx: ${file} ${version}` };
    return { level: 'error', message: `nginx: ${file} is ${version}`, hint: `install nginx ${oldest} or newer` };
  } catch (error) {
    return findingOf(error, 'warning');
  }
}
