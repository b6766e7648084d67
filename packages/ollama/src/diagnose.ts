import { existsSync } from 'node:fs';
import { type Finding, findingOf, runCommand, versionFinding } from '@mgpu/core';
import { isLoopback } from './address.ts';
import type { OllamaConfig } from './config.ts';
import { OllamaMissingError } from './errors.ts';
import { releaseOf } from './program/install-release.ts';
import { locateProgram, type Surroundings } from './program/locate-program.ts';

/** The oldest that mgpu was compared with. */
const required = { oldest: '0.11.0', hint: 'use a newer Ollama' };

/** Where systemd notes that the service of Ollama's own installer starts at boot. */
const vendorUnit = '/etc/systemd/system/default.target.wants/ollama.service';
const vendorPort = 11_434;

/** What is to be said about Ollama on this machine before it runs. */
export async function diagnose(config: OllamaConfig, surroundings: Surroundings): Promise<readonly Finding[]> {
  return [await programFinding(config, surroundings), ...listenFindings(config), ...vendorFindings(config)];
}

async function programFinding(config: OllamaConfig, surroundings: Surroundings): Promise<Finding> {
  try {
    const { file, args } = await locateProgram(config, surroundings);
    const { stdout, stderr } = await runCommand(file, [...args, '--version']);
    const version = /version is (\d\S*)/.exec(stdout + stderr)?.[1];
    return versionFinding(`ollama: ${[file, ...args].join(' ')}`, version, required);
  } catch (error) {
    if (!(error instanceof OllamaMissingError) || !config.download.enabled) return findingOf(error, 'error');
  }
  try {
    const { url } = releaseOf(config.download);
    return { level: 'ok', message: `ollama: version ${config.download.version} comes from ${url} at the next start` };
  } catch (error) {
    return findingOf(error, 'error');
  }
}

function listenFindings({ listen: { host, port } }: OllamaConfig): Finding[] {
  if (isLoopback(host)) return [];
  return [
    {
      level: 'warning',
      message: `ollama: it listens on ${host}, port ${port}, without any password`,
      hint: 'services.ollama.listen.host: 127.0.0.1, and nginx in front of it',
    },
  ];
}

/** The service that the vendor's installer makes, where it would take our port. */
export function vendorFindings({ listen: { port } }: Pick<OllamaConfig, 'listen'>, unit = vendorUnit): Finding[] {
  if (port !== vendorPort || !existsSync(unit)) return [];
  return [
    {
      level: 'warning',
      message: `ollama: the service of Ollama's own installer starts at boot and takes port ${vendorPort}`,
      hint: 'systemctl disable --now ollama, or another services.ollama.listen.port',
    },
  ];
}
