import { type Finding, findingOf, runCommand, versionFinding } from '@mgpu/core';
import type { NginxConfig } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { asksForPassword, expectProtected, readUsers } from './users.ts';

/** The first whose `-e` keeps it from the system's own log. */
const required = { oldest: '1.20', hint: 'install nginx 1.20 or newer' };

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
    return versionFinding(`nginx: ${file}`, /nginx\/(\d\S*)/.exec(stderr)?.[1], required);
  } catch (error) {
    return findingOf(error, 'warning');
  }
}
