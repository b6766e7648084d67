import { type Finding, MgpuError, runCommand } from '@mgpu/core';
import type { NginxConfig } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { expectProtected, readUsers } from './users.ts';

/** nginx 1.20 is the first whose `-e` keeps it from the system's own log. */
const oldest = [1, 20] as const;

/** What is to be said about the proxy before it runs. */
export async function diagnose(
  config: NginxConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  const checks = [
    () => diagnoseProgram(config.program, env),
    async () => expectProtected('nginx', config),
    () => readUsers('nginx', config),
  ];
  const findings = await Promise.all(checks.map(findingOf));
  return findings.filter((each) => each !== undefined);
}

async function diagnoseProgram(
  program: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding> {
  const file = await locateProgram(program, env);
  const { stderr } = await runCommand(file, ['-v']);
  const version = /nginx\/(\d+)\.(\d+)\S*/.exec(stderr);
  if (!version) return { level: 'warning', message: `nginx: ${file} does not tell its version` };
  const [text, major, minor] = version;
  const isOld = Number(major) < oldest[0] || (Number(major) === oldest[0] && Number(minor) < oldest[1]);
  if (!isOld) return { level: 'ok', message: `nginx: ${file} ${text}` };
  return { level: 'error', message: `nginx: ${file} is ${text}`, hint: `install nginx ${oldest.join('.')} or newer` };
}

/** What the check found, or its error as a finding; nothing when there is nothing to say. */
async function findingOf(check: () => Promise<unknown>): Promise<Finding | undefined> {
  try {
    const found = await check();
    return isFinding(found) ? found : undefined;
  } catch (error) {
    if (!(error instanceof MgpuError)) throw error;
    const { message, hint } = error;
    return { level: 'warning', message, ...(hint === undefined ? {} : { hint }) };
  }
}

const isFinding = (value: unknown): value is Finding =>
  typeof value === 'object' && value !== null && 'level' in value && 'message' in value;
